//! `ObjectDatastore` against servers of the S3 protocol, over HTTP on the loopback interface.

mod drops;
mod endpoint;
mod errors;
mod faults;
mod garage;
mod listing;
mod metrics;
mod program;
mod suites;
mod writers;
