//! A real anvil as a process, and calls to it.

use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Where `./x tools` installs what the tests run.
const TOOLS: &str = "../../tools/node_modules/.bin";

/// An anvil that is going to run in a folder of its own.
pub(super) struct Anvil {
    binary: PathBuf,
    folder: tempfile::TempDir,
}

/// One that runs; it ends with this.
pub(super) struct Running {
    process: Child,
    address: String,
}

impl Anvil {
    /// None where `./x test` said that it tests without what npm would install.
    pub(super) fn wanted() -> Option<Self> {
        let binary = Path::new(TOOLS).join("anvil");
        if binary.exists() {
            return Some(Self { binary, folder: tempfile::tempdir().unwrap() });
        }
        assert!(
            std::env::var_os("CHORALE_WITHOUT_TOOLS").is_some(),
            "{} is missing: run `./x tools`",
            binary.display()
        );
        None
    }

    /// Starts it from a genesis, and waits until it listens.
    pub(super) fn start(&mut self, genesis: &Value, arguments: &[&str]) -> Running {
        let file = self.folder.path().join("genesis.json");
        std::fs::write(&file, genesis.to_string()).unwrap();
        let mut process = Command::new(&self.binary)
            .args(["--port", "0", "--init"])
            .arg(&file)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned));
        // Nobody reads on: what it prints later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        // Made first, so that it ends whatever comes of this.
        let mut running = Running { process, address: String::new() };
        running.address = address.expect("anvil says where it listens");
        running
    }
}

impl Running {
    /// The result of a call.
    #[expect(clippy::needless_pass_by_value, reason = "made for the call")]
    pub(super) fn call(&self, method: &str, parameters: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: anvil\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert!(answer["error"].is_null(), "{method} {parameters}: {answer}");
        answer["result"].clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
