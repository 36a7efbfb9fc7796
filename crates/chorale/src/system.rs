//! What the system says of processes on this machine.

use std::{fs, time::Duration};

/// Linux reports processor time to programs in hundredths of a second, whatever the kernel counts in.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time of all its threads, in user and kernel mode.
    pub(crate) cpu: Duration,
    /// Memory it has now.
    pub(crate) memory_bytes: u64,
    /// The most memory it had.
    pub(crate) memory_bytes_max: u64,
}

impl Usage {
    /// Of a process; none if it does not run.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        Self::parse(&stat, &status)
    }

    /// Of this process.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is the program's name in brackets and may contain anything, so fields count from its end.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
        let bytes = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        Some(Self {
            cpu: Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)),
            memory_bytes: bytes("VmRSS:")?,
            memory_bytes_max: bytes("VmHWM:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;
    use std::time::Duration;

    #[test]
    fn usage_is_read_behind_any_program_name() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!((usage.memory_bytes, usage.memory_bytes_max), (1 << 20, 2 << 20));
        assert_eq!(Usage::parse("no stat", ""), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::own().unwrap().memory_bytes > 100_000);
    }
}
