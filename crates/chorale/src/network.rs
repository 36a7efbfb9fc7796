//! A network of nodes on this machine: its files, its processes, and what can be seen of them.

pub(crate) mod layout;
pub(crate) mod logs;
pub(crate) mod monitor;
pub(crate) mod processes;
pub(crate) mod rollups;
pub(crate) mod supervisor;
pub(crate) mod view;
