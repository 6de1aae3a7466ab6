//! [`client`]: the clients of S3, Google Cloud Storage and Azure.

use std::sync::Arc;

use object_store::{ClientConfigKey, Error, ObjectStore, ObjectStoreScheme};
use url::Url;

use super::client_config::ClientConfig;
use super::http::ReportingConnector;

/// Makes a client from the environment and the options.
///
/// `endpoints` are the keys of its address, in the order of their precedence, and `headers` those of values that are sent
/// in headers.
macro_rules! build {
    ($builder:ty, $key:ident, $url:ident, $config:ident, endpoints: $endpoints:expr, headers: $headers:expr) => {{
        let mut builder = <$builder>::from_env()
            .with_url($url)
            .with_retry($config.retry.clone())
            .with_http_connector(ReportingConnector::default());
        for (name, value) in &$config.options {
            let key = name.to_ascii_lowercase().parse();
            let key = key.map_err(|_| format!("its client has no option {name:?}"))?;
            builder = builder.with_config(key, value);
        }
        let endpoints: &[$key] = &$endpoints;
        let endpoint = endpoints
            .iter()
            .find_map(|key| builder.get_config_value(key));
        if let Some(endpoint) = endpoint {
            let allows_http = $key::Client(ClientConfigKey::AllowHttp);
            let allows_http = builder.get_config_value(&allows_http);
            check_endpoint(&endpoint, allows_http.as_deref().is_some_and(is_true))?;
        }
        let headers: &[$key] = &$headers;
        for key in headers {
            check_header(key.as_ref(), builder.get_config_value(key))?;
        }
        let client: Arc<dyn ObjectStore> = Arc::new(builder.build().map_err(reason)?);
        Ok(client)
    }};
}

/// Makes the client for a URL of this scheme, or returns `None` if there is none. The URL has no secrets, because errors
/// may show it.
///
/// # Errors
///
/// Returns the reason why the URL or the configuration is refused.
pub(super) fn client(
    scheme: &ObjectStoreScheme,
    url: &str,
    config: &ClientConfig,
) -> Option<Result<Arc<dyn ObjectStore>, String>> {
    Some(match scheme {
        #[cfg(feature = "s3")]
        ObjectStoreScheme::AmazonS3 => s3(url, config),
        #[cfg(feature = "gcs")]
        ObjectStoreScheme::GoogleCloudStorage => gcs(url, config),
        #[cfg(feature = "azure")]
        ObjectStoreScheme::MicrosoftAzure => azure(url, config),
        _ => return None,
    })
}

#[cfg(feature = "s3")]
fn s3(url: &str, config: &ClientConfig) -> Result<Arc<dyn ObjectStore>, String> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
    build!(
        AmazonS3Builder, Key, url, config,
        endpoints: [Key::S3Endpoint, Key::Endpoint],
        headers: [Key::AccessKeyId, Key::Token, Key::Region]
    )
}

#[cfg(feature = "gcs")]
fn gcs(url: &str, config: &ClientConfig) -> Result<Arc<dyn ObjectStore>, String> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key};
    build!(
        GoogleCloudStorageBuilder, Key, url, config,
        endpoints: [Key::BaseUrl],
        headers: [Key::BearerToken]
    )
}

#[cfg(feature = "azure")]
fn azure(url: &str, config: &ClientConfig) -> Result<Arc<dyn ObjectStore>, String> {
    use object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};
    build!(
        MicrosoftAzureBuilder, Key, url, config,
        endpoints: [Key::Endpoint],
        headers: [Key::AccountName, Key::Token]
    )
}

/// Returns whether object_store takes this value of an option as true.
fn is_true(value: &str) -> bool {
    let words = ["1", "true", "on", "yes", "y"];
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Refuses an address for which the client would panic, or whose requests would all fail. It is not shown, because it may
/// have a password.
fn check_endpoint(endpoint: &str, allows_http: bool) -> Result<(), String> {
    let url = Url::parse(endpoint).ok();
    let url = url.filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    match url {
        None => Err("its endpoint is not an address such as https://host:9000".to_owned()),
        Some(url) if url.scheme() == "http" && !allows_http => Err(
            "its endpoint is http and not https, which the option allow_http=true permits (for s3 also AWS_ALLOW_HTTP=true)"
                .to_owned(),
        ),
        Some(_) => Ok(()),
    }
}

/// Refuses a value for which the client would panic, such as one that ends with a line break.
fn check_header(name: &str, value: Option<String>) -> Result<(), String> {
    let is_valid = |c: char| c.is_ascii_graphic() || c == ' ';
    match value.is_none_or(|value| value.chars().all(is_valid)) {
        true => Ok(()),
        false => Err(format!(
            "its option {name} has a line break or another character that it can't have"
        )),
    }
}

/// Returns the reason of an error without the name of the client.
fn reason(error: Error) -> String {
    match error {
        Error::Generic { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

#[cfg(all(test, feature = "s3", feature = "gcs", feature = "azure"))]
mod tests {
    use super::*;

    fn config(options: &[(&str, &str)]) -> ClientConfig {
        let options = options.iter();
        let options = options.map(|(name, value)| (name.to_string(), value.to_string()));
        ClientConfig {
            options: options.collect(),
            ..ClientConfig::default()
        }
    }

    fn refused(options: &[(&str, &str)]) -> Option<String> {
        s3("s3://bucket/blocks", &config(options)).err()
    }

    /// The client would panic at its first request.
    #[test]
    fn values_that_no_request_can_have_are_refused() {
        let (s3, gcs) = ("s3://bucket/blocks", "gs://bucket/blocks");
        let azure = "abfss://container@account.dfs.core.windows.net/blocks";
        for (url, name, value) in [
            (s3, "endpoint", "localhost:9000"),
            (s3, "endpoint", "127.0.0.1:9000"),
            (s3, "endpoint", "ftp://host"),
            (s3, "access_key_id", "id\n"),
            (s3, "region", "eu\r"),
            (gcs, "base_url", "localhost:9000"),
            (gcs, "bearer_token", "id\n"),
            (azure, "endpoint", "localhost:9000"),
            (azure, "token", "id\n"),
        ] {
            let (scheme, _) = ObjectStoreScheme::parse(&Url::parse(url).unwrap()).unwrap();
            let made = client(&scheme, url, &config(&[(name, value)])).unwrap();
            let message = made.err().unwrap();
            let reason = if value.contains(['\n', '\r']) {
                name
            } else {
                "its endpoint"
            };
            assert!(message.contains(reason), "{name}: {message}");
        }
    }

    #[test]
    fn an_address_without_tls_must_be_allowed() {
        let endpoint = ("endpoint", "http://localhost:9000");
        let message = refused(&[endpoint]).unwrap();
        assert!(message.contains("allow_http"), "{message}");
        for yes in ["true", "TRUE", "1", "on", "Yes", "y"] {
            assert_eq!(refused(&[endpoint, ("allow_http", yes)]), None);
        }
        for no in ["false", "0", "OFF"] {
            let message = refused(&[endpoint, ("allow_http", no)]).unwrap();
            assert!(message.contains("allow_http"), "{message}");
        }
    }
}
