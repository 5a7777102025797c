//! Cases from the field: what people pass to the command, and what they must get.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;

mod budgets;
mod command;
mod permissions;
mod tiny_tensors;
