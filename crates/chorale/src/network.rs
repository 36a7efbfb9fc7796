//! A network of nodes on this machine: its files, and its processes.

pub(crate) mod layout;
pub(crate) mod processes;
