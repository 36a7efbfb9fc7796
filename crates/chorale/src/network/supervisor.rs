//! Keeps the nodes of a network running.

use super::{layout::Layout, processes::NodeProcess};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File, TryLockError},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    time::{Duration, Instant},
};

/// How long a node that ended stays down before it is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// A node that ends this often by itself without running for [`STEADY`] in between is given up.
const ENDS_MAX: u32 = 3;
const STEADY: Duration = Duration::from_secs(10);
/// What no process does to itself.
const SIGKILL: i32 = 9;
/// Lines of a log that an error quotes.
const LOG_LINES: usize = 8;
const LOG_BYTES_READ: usize = 16 * 1024;

struct Supervised {
    process: NodeProcess,
    started: Instant,
    /// When it was seen to have ended, while it is down.
    down: Option<Instant>,
    ends: u32,
}

/// A running network. Its nodes stop when it is dropped.
pub(crate) struct Supervisor {
    /// First the sequencer's, then that of executed rollups.
    nodes: Vec<Supervised>,
    sequencers: usize,
    /// Held so that nobody else runs the same folder.
    _lock: File,
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A node ended by itself.
    Ended(String),
    /// It runs again.
    Restarted(String),
}

impl Supervisor {
    /// Starts all nodes of a network.
    pub(crate) fn start(layout: &Layout) -> Result<Self> {
        let lock = lock(&layout.folder.join("devnet.lock"))?;
        let now = Instant::now();
        let sequencers = layout.configs()?.len();
        let sequencer = |index| NodeProcess::sequencer(format!("node-{index}"), layout.config(index));
        let rollups = layout.has_rollups().then(|| NodeProcess::rollups(layout.rollup_config()));
        let started = |mut process: NodeProcess| {
            process.start()?;
            Ok(Supervised { process, started: now, down: None, ends: 0 })
        };
        let nodes = (0..sequencers).map(sequencer).chain(rollups).map(started).collect::<Result<_>>()?;
        Ok(Self { nodes, sequencers, _lock: lock })
    }

    /// The process ids of the sequencer's nodes, of those that run.
    pub(crate) fn ids(&self) -> Vec<Option<u32>> {
        self.nodes[..self.sequencers].iter().map(|node| node.process.id()).collect()
    }

    /// Starts what ended again, after a moment.
    ///
    /// # Errors
    ///
    /// A node that ends again and again, with the end of its log.
    pub(crate) fn supervise(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for node in &mut self.nodes {
            let name = node.process.name().to_owned();
            if let Some(status) = node.process.ended()? {
                // Whoever kills nodes, again and again, wants to see them come back.
                if status.signal() != Some(SIGKILL) {
                    node.ends = if node.started.elapsed() >= STEADY { 1 } else { node.ends + 1 };
                }
                if node.ends >= ENDS_MAX {
                    let log = node.process.log();
                    bail!(
                        "{name} ended {ENDS_MAX} times in a row ({status}); the end of {}:\n{}",
                        log.display(),
                        tail(&log)
                    );
                }
                node.down = Some(Instant::now());
                events.push(Event::Ended(format!("{name} ended: {status}")));
            }
            if node.down.is_some_and(|since| since.elapsed() >= RESTART_DELAY) {
                node.process.start()?;
                (node.started, node.down) = (Instant::now(), None);
                events.push(Event::Restarted(format!("{name} runs again")));
            }
        }
        Ok(events)
    }

    /// Stops all nodes, in good order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.nodes.iter_mut().for_each(|node| node.process.ask_to_stop());
        self.nodes.iter_mut().try_for_each(|node| node.process.stop())
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("a network already runs in this folder ({} is locked); choose another with --dir", path.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LOG_BYTES_READ)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| format!("  {line}\n")).collect()
}
