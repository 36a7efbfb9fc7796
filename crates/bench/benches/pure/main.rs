//! Benchmarks of the pure crates: `./x bench`.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod certificates;
mod codec;
mod dispersal;
mod execution;
mod stepper;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, certificates::bench, codec::bench, dispersal::bench, execution::bench, stepper::bench);
criterion_main!(benches);
