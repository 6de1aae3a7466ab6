//! Any other server of the S3 protocol: at the URL in `S3_TEST_URL`, such as `s3://bucket/tests`, with the variables
//! that the client reads. moto, for example, with a bucket that exists:
//!
//! ```sh
//! export AWS_ENDPOINT=http://127.0.0.1:5555 AWS_ALLOW_HTTP=true AWS_REGION=us-east-1
//! export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
//! S3_TEST_URL=s3://bucket/tests cargo test endpoint
//! ```

use std::env;
use std::io::{self, Write as _};
use std::process;

use ds_flatfs::Shard;
use ds_flatfs::conformance::{self, Keys};
use ds_flatfs::object::ObjectDatastore;

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_on_the_server_at_a_url_with_any_keys() {
    let Ok(url) = env::var("S3_TEST_URL") else {
        // Unlike println, this is shown when the test passes.
        let _ = writeln!(io::stderr(), "skipped: S3_TEST_URL is not set");
        return;
    };
    let url = format!("{url}/{}", process::id());
    let options = ObjectDatastore::options();
    let datastore = options.open_url(&format!("{url}/any")).await.unwrap();
    conformance::all(&datastore, Keys::Any).await;
    conformance::closing(&datastore, Keys::Any).await;
    let options = options.shard(Shard::default());
    let sharded = options.create_url(&format!("{url}/sharded")).await.unwrap();
    conformance::all(&sharded, Keys::Flat).await;
    conformance::closing(&sharded, Keys::Flat).await;
}
