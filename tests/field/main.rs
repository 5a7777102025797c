//! Cases from the field: what people have and pass to the command, and what they must get.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;

mod budgets;
mod checkpoints;
mod command;
mod dry_runs;
mod dtypes;
mod few_words;
mod float8;
mod hub_cache;
mod layouts;
mod many_machines;
mod merging;
mod messages;
mod permissions;
mod quantized;
mod removal;
mod repeated_rows;
mod tied;
mod tiny_tensors;
mod verbose;
mod whole_models;
