//! [`ClientConfig`]: how the client for a URL is configured.

/// The configuration of the client for a URL, in addition to the environment.
#[derive(Clone, Default)]
pub(super) struct ClientConfig {
    /// Names and values of object_store. Values can be secrets.
    pub(super) options: Vec<(String, String)>,
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    pub(super) retry: object_store::RetryConfig,
}
