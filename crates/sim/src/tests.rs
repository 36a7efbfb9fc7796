//! Tests of the network as a whole, and of the tools it is tested with.

mod adversaries;
mod calm;
mod faults;
mod judge;
mod mutants;
mod replay;
mod tools;
