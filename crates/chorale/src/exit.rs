//! Exit codes, the same for every command.

/// What `--help` says of them.
pub(crate) const HELP: &str = "\
Exit codes: 0 success; 1 failure, with a message that says what to do; 2 wrong usage;
3 something was checked and does not hold (verify, sim).";

/// Something was checked and does not hold.
pub(crate) const DOES_NOT_HOLD: u8 = 3;
