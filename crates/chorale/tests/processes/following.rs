//! `chorale follow` through nodes that lie.

use crate::{
    network::{Devnet, chorale, stdout},
    servers::Server,
};
use chorale_api::ErrorCode;
use jsonrpsee::{
    RpcModule,
    core::{RpcResult, client::ClientT as _},
    http_client::{HttpClient, HttpClientBuilder},
    rpc_params,
    types::ErrorObjectOwned,
};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};
use tokio::runtime::Runtime;

/// What a lying node does with the answers of an honest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Leaves out a height.
    Skip,
    /// Shows the lane of another height.
    Earlier,
    /// Shows the lane of another rollup.
    OtherRollup,
    /// Changes a byte of the lane.
    Change,
    /// Leaves out the end of the lane.
    Cut,
    /// Shows an attestation of another height.
    OtherAttestation,
    /// Says that there is nothing.
    Withhold,
    /// Says that there is nothing for rollup 1002.
    WithholdOne,
    /// Answers with the error of this code.
    Refuse(ErrorCode),
}

struct Honest {
    client: HttpClient,
    lie: Lie,
}

impl Honest {
    async fn call(&self, method: &str, first: u64, second: u64) -> RpcResult<Value> {
        let answer = self.client.request(method, rpc_params![first, second]).await;
        answer.map_err(|error| ErrorObjectOwned::owned::<()>(-32_603, error.to_string(), None))
    }

    async fn next_content(&self, rollup: u64, after: u64) -> RpcResult<Value> {
        let next = self.call("chorale_nextContent", rollup, after).await?;
        match (self.lie, next.as_u64()) {
            (Lie::Withhold, _) => Ok(Value::Null),
            (Lie::WithholdOne, _) if rollup == 1002 => Ok(Value::Null),
            (Lie::Refuse(code), _) => Err(code.with("no")),
            (Lie::Skip, Some(next)) => self.call("chorale_nextContent", rollup, next).await,
            _ => Ok(next),
        }
    }

    async fn lane(&self, rollup: u64, height: u64) -> RpcResult<Value> {
        let other = match self.lie {
            Lie::Earlier => (rollup, height.saturating_sub(1).max(1)),
            Lie::OtherRollup => (rollup + 1, height),
            _ => (rollup, height),
        };
        let mut answer = self.call("chorale_lane", other.0, other.1).await?;
        match self.lie {
            Lie::Change | Lie::Cut => {
                let mut claim = answer["claim"].as_str().unwrap().to_owned();
                let end = claim.len() - 2;
                if self.lie == Lie::Cut {
                    claim.truncate(end);
                } else {
                    let last = if claim.ends_with("00") { "01" } else { "00" };
                    claim.replace_range(end.., last);
                }
                answer["claim"] = claim.into();
            }
            Lie::OtherAttestation => {
                let other = self.call("chorale_lane", rollup, height.saturating_sub(1).max(1)).await?;
                answer["attestation"] = other["attestation"].clone();
            }
            _ => {}
        }
        Ok(answer)
    }
}

/// A server between the follower and an honest node.
fn liar(runtime: &Runtime, honest: &str, lie: Lie) -> Server {
    let client = HttpClientBuilder::default().build(honest).unwrap();
    let mut module = RpcModule::new(Honest { client, lie });
    module
        .register_async_method("chorale_nextContent", |params, honest, _| async move {
            let (rollup, after) = params.parse()?;
            honest.next_content(rollup, after).await
        })
        .unwrap();
    module
        .register_async_method("chorale_lane", |params, honest, _| async move {
            let (rollup, height) = params.parse()?;
            honest.lane(rollup, height).await
        })
        .unwrap();
    module
        .register_async_method("chorale_lastContent", |params, honest, _| async move {
            let [rollup]: [u64; 1] = params.parse()?;
            let answer = honest.client.request("chorale_lastContent", rpc_params![rollup]).await;
            answer.map_err(|error| ErrorObjectOwned::owned::<()>(-32_603, error.to_string(), None)) as RpcResult<Value>
        })
        .unwrap();
    Server::start(runtime, module)
}

const HEIGHTS: &str = "4";

fn follow(genesis: &str, nodes: &[&str]) -> Output {
    follow_rollups(&["1001"], genesis, nodes)
}

fn follow_rollups(rollups: &[&str], genesis: &str, nodes: &[&str]) -> Output {
    let mut arguments = vec!["follow", "--heights", HEIGHTS, "--json", "--genesis", genesis, "--network", "none"];
    for rollup in rollups {
        arguments.extend(["--rollup", rollup]);
    }
    for node in nodes {
        arguments.extend(["--node", node]);
    }
    chorale(&arguments)
}

#[test]
fn a_follower_prints_the_whole_truth_whatever_one_node_says() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--validators", "4", "--rollups", "2"]);
    let load = ["bench", "load", "--rate", "100", "--seconds", "3", "--warmup", "1", "--drain", "60", "--json"];
    stdout(&devnet.run(&load));
    let urls: Vec<String> = devnet.status().iter().map(|node| node["url"].as_str().unwrap().to_owned()).collect();
    let genesis = network.join("genesis.toml");
    let genesis = genesis.to_str().unwrap();

    let truth = stdout(&follow(genesis, &[&urls[0]]));
    assert_eq!(truth.lines().count().to_string(), HEIGHTS);
    let runtime = Runtime::new().unwrap();
    let lies = [Lie::Skip, Lie::Earlier, Lie::OtherRollup, Lie::Change, Lie::Cut, Lie::OtherAttestation];
    for lie in lies {
        let liar = liar(&runtime, &urls[0], lie);
        let output = follow(genesis, &[&liar.url, &urls[1]]);
        assert_eq!(stdout(&output), truth, "{lie:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(&format!("dropped {}", liar.url)), "{lie:?}: {told}");

        let alone = follow(genesis, &[&liar.url]);
        assert_eq!(alone.status.code(), Some(1), "{lie:?}");
        assert!(truth.starts_with(&*String::from_utf8_lossy(&alone.stdout)), "{lie:?}: nothing false was printed");
    }
    // Nothing of this can be shown to be false; it costs a turn.
    for lie in [Lie::Withhold, Lie::Refuse(ErrorCode::NotFound), Lie::Refuse(ErrorCode::Pruned)] {
        let liar = liar(&runtime, &urls[0], lie);
        assert_eq!(stdout(&follow(genesis, &[&liar.url, &urls[1]])), truth, "{lie:?}");
    }
    // Two rollups as one: whoever hides what one of them was given cannot have the other go on without it.
    let both = ["1001", "1002"];
    let truth_of_both = stdout(&follow_rollups(&both, genesis, &[&urls[0]]));
    assert!(truth_of_both.contains("\"rollup\":1001") && truth_of_both.contains("\"rollup\":1002"), "{truth_of_both}");
    for lie in [Lie::WithholdOne, Lie::Skip, Lie::Change] {
        let liar = liar(&runtime, &urls[0], lie);
        assert_eq!(stdout(&follow_rollups(&both, genesis, &[&liar.url, &urls[1]])), truth_of_both, "{lie:?}");
    }
    // Whoever has read enough closes the pipe, which is no error of the follower. What is left is more than a pipe holds.
    let mut endless = Command::new(env!("CARGO_BIN_EXE_chorale"))
        .args(["follow", "--rollup", "1001", "--genesis", genesis, "--network", "none", "--node", &urls[0], "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(endless.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(truth.starts_with(&line) && !line.is_empty(), "{line}");
    assert!(endless.wait().unwrap().success());

    let unknown = devnet.run(&["follow", "--rollup", "9", "--genesis", genesis]);
    assert_eq!(unknown.status.code(), Some(1));
    devnet.end("TERM");
}
