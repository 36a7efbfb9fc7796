//! The nodes of a network as processes of this program.

use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a node may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Runs a node of the sequencer that stands back for others on the machine: several validators make blocks as fast as the
/// processors that they share let them, and the node of the rollups, which follows all of them, would get what is left.
const SEQUENCER: &[&str] = &["node", "--niceness", "5"];

/// One node as a process. Its standard input is a pipe that only this process holds: when it closes, for whatever
/// reason, the node stops. So no node outlives the network that it was started for, even if that is killed.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    name: String,
    /// The subcommand that runs it.
    command: &'static [&'static str],
    config: PathBuf,
    child: Option<Child>,
}

impl NodeProcess {
    /// A sequencer's node that is not started yet.
    pub(crate) fn sequencer(name: String, config: PathBuf) -> Self {
        Self { name, command: SEQUENCER, config, child: None }
    }

    /// The node of executed rollups, not started yet.
    pub(crate) fn rollups(config: PathBuf) -> Self {
        Self { name: "rollups".to_owned(), command: &["rollup"], config, child: None }
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.config.with_file_name("node.log")
    }

    /// The process id while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it; its log goes on where it ended.
    pub(crate) fn start(&mut self) -> Result<()> {
        let program = std::env::current_exe().context("finding this program")?;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.with_context(|| format!("opening {}", self.log().display()))?;
        let child = Command::new(&program)
            .args(self.command)
            .args(["--stop-with-parent", "--config"])
            .arg(&self.config)
            // glibc keeps freed memory in as many pools as there are threads; nodes that share a machine need it less
            // scattered. See the help of `chorale node`.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C goes to the network, which stops its nodes in good order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        // Whole or not at all: somebody may read it at this moment.
        let (pid, whole) = (pid_file(&self.config), self.config.with_file_name("node.pid.new"));
        fs::write(&whole, child.id().to_string())?;
        fs::rename(whole, pid)?;
        self.child = Some(child);
        Ok(())
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Asks it to stop.
    pub(crate) fn ask_to_stop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.stdin.take());
        }
    }

    /// Stops it, by force if it does not by itself in time.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.ask_to_stop();
        let deadline = Instant::now() + STOP_TIMEOUT;
        while let Some(child) = &mut self.child {
            if child.try_wait()?.is_some() {
                self.child = None;
            } else if Instant::now() >= deadline {
                child.kill()?;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        let _ = fs::remove_file(pid_file(&self.config));
        Ok(())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Where the process id of a running node stands, next to its configuration.
pub(crate) fn pid_file(config: &Path) -> PathBuf {
    config.with_file_name("node.pid")
}
