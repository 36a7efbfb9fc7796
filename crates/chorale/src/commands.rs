//! The subcommands, one file each.

pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod devnet;
pub(crate) mod domain;
pub(crate) mod follow;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod node;
pub(crate) mod rollup;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod tx;
pub(crate) mod units;
pub(crate) mod verify;
