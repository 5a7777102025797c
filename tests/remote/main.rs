//! Reading from servers: how many requests and bytes operations take, and servers that fail.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "cli")]
mod command;
mod faults;
mod requests;
mod server;
mod stores;
