//! The subcommands, one file each.

pub(crate) mod devnet;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod node;
