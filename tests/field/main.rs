//! Cases from the field: what people pass to the command, and what they must get.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;

mod budgets;
mod checkpoints;
mod command;
mod layouts;
mod messages;
mod permissions;
mod quantized;
mod tiny_tensors;
