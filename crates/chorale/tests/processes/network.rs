//! A network in a temporary folder, started by the program itself.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// Machines that run many tests at once are slow; nothing here is about speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program with these arguments.
pub(crate) fn chorale(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chorale")).args(arguments).output().unwrap()
}

/// What it printed, if it succeeded.
pub(crate) fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Waits until `question` has an answer.
pub(crate) fn eventually<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a signal to a process, by name.
pub(crate) fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {process}");
}

/// Whether a process runs; one that has ended and not been waited for does not.
pub(crate) fn is_running(process: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// A running `chorale devnet`.
pub(crate) struct Devnet {
    pub(crate) process: Child,
    folder: PathBuf,
    lines: Receiver<String>,
}

impl Devnet {
    /// Starts one in a folder and waits until it says that all commit.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_chorale"))
            .args(["devnet", "--plain", "--rollup-port", "0", "--dir"])
            .arg(folder)
            // What most tests are about needs none, and a process less.
            .args(if arguments.contains(&"--executed") { &[][..] } else { &["--executed", "0"] })
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let devnet = Self { process, folder: folder.to_owned(), lines };
        devnet.wait_for_line("validators commit");
        devnet
    }

    /// Waits for a line that contains the words.
    pub(crate) fn wait_for_line(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with `{words}` ({error}):\n{}", seen.join("\n")),
            }
        }
    }

    /// The process ids of its nodes.
    pub(crate) fn nodes(&self) -> Vec<u32> {
        (0..)
            .map(|index| self.folder.join(format!("node-{index}/node.pid")))
            .map_while(|path| fs::read_to_string(path).ok())
            .map(|id| id.trim().parse().unwrap())
            .collect()
    }

    /// Runs a command against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let network = self.folder.to_str().unwrap();
        chorale(&[arguments, &["--network", network]].concat())
    }

    /// What `chorale status` says of every node.
    pub(crate) fn status(&self) -> Vec<Value> {
        serde_json::from_str(&stdout(&self.run(&["status", "--json"]))).unwrap()
    }

    /// The committed height of every node that answers.
    pub(crate) fn committed(&self) -> Vec<Option<u64>> {
        self.status().iter().map(|node| node["node"]["committed"].as_u64()).collect()
    }

    /// Waits until all nodes have committed a height. While none of them answers, as after all were killed, there is
    /// nothing to see yet.
    pub(crate) fn wait_for_height(&self, height: u64) {
        eventually(&format!("all nodes commit height {height}"), || {
            let output = self.run(&["status", "--json"]);
            let nodes: Vec<Value> = output.status.success().then(|| serde_json::from_str(&stdout(&output)).unwrap())?;
            let is_there = |node: &Value| node["node"]["committed"].as_u64().is_some_and(|it| it >= height);
            nodes.iter().all(is_there).then_some(())
        });
    }

    /// Sends a signal to it alone, and waits until it and all its nodes are gone.
    pub(crate) fn end(mut self, name: &str) {
        let nodes = self.nodes();
        assert!(nodes.iter().all(|node| is_running(*node)), "a node is not running: {nodes:?}");
        signal(name, self.process.id());
        let _ = self.process.wait().unwrap();
        eventually("no node is left", || nodes.iter().all(|node| !is_running(*node)).then_some(()));
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        // The nodes end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
