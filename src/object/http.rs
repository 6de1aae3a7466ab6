//! [`ReportingConnector`]: reports the HTTP requests of a client.

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, Result};

use crate::observe::Request;

/// Makes HTTP clients that report their requests.
#[derive(Debug, Default)]
pub(super) struct ReportingConnector(ReqwestConnector);

impl HttpConnector for ReportingConnector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = self.0.connect(options)?;
        Ok(HttpClient::new(ReportingClient(client)))
    }
}

#[derive(Debug)]
struct ReportingClient(HttpClient);

#[async_trait]
impl HttpService for ReportingClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let method = request.method().clone();
        let report = Request::begin();
        let response = self.0.execute(request).await;
        report.end(method.as_str(), outcome(&response));
        response
    }
}

fn outcome(response: &Result<HttpResponse, HttpError>) -> &'static str {
    match response.as_ref().map(|response| response.status().as_u16()) {
        Ok(200..=299) => "ok",
        Ok(404) => "absent",
        // The client sends these again, and most requests whose connection failed.
        Ok(408 | 429 | 500..=599) | Err(_) => "retry",
        Ok(_) => "error",
    }
}
