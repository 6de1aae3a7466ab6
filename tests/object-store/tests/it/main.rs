//! `ObjectDatastore` against servers of the S3 protocol, over HTTP on the loopback interface.

mod endpoint;
mod errors;
mod faults;
mod garage;
mod listing;
mod program;
mod suites;
mod writers;
