//! The logs of all nodes as one stream of lines.

use super::layout::Layout;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

/// Bytes read from one log at a time.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// Reads what is added to the logs from now on.
#[derive(Debug)]
pub(crate) struct Logs {
    logs: Vec<Log>,
}

#[derive(Debug)]
struct Log {
    name: String,
    path: PathBuf,
    offset: u64,
    rest: String,
}

impl Logs {
    /// The logs of a network's nodes.
    pub(crate) fn of(layout: &Layout, count: usize) -> Self {
        let log = |index| {
            let path = layout.config(index).with_file_name("node.log");
            let offset = path.metadata().map_or(0, |metadata| metadata.len());
            Log { name: format!("node-{index}"), path, offset, rest: String::new() }
        };
        let mut logs: Vec<Log> = (0..count).map(log).collect();
        if layout.has_rollups() {
            let path = layout.rollup_config().with_file_name("node.log");
            let offset = path.metadata().map_or(0, |metadata| metadata.len());
            logs.push(Log { name: "rollups".to_owned(), path, offset, rest: String::new() });
        }
        Self { logs }
    }

    /// The whole lines that were added since the last call, each behind its node's name.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        self.logs.iter_mut().flat_map(Log::lines).collect()
    }
}

impl Log {
    fn lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.take(READ_BYTES_MAX).read_to_end(&mut bytes)
        });
        self.offset += u64::try_from(read.unwrap_or(0)).unwrap_or(0);
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let Some(end) = self.rest.rfind('\n') else { return Vec::new() };
        let whole: String = self.rest.drain(..=end).collect();
        whole.lines().map(|line| format!("{} | {line}", self.name)).collect()
    }
}
