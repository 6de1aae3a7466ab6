//! A server of the S3 protocol for tests: s3s-fs on a port of the loopback interface, with faults in front of it.

mod faults;
mod open;
mod server;

pub use crate::faults::Faults;
pub use crate::server::{BUCKET, READER, Server, WRITER, options};
