//! What was accepted survives crashes, and all nodes agree on what became of it.

use crate::{
    api::call,
    network::{Devnet, chorale, eventually, signal},
};
use serde_json::{Value, json};

/// Submits through one node; the id if it was accepted.
fn submit(url: &str, data: &str) -> Option<String> {
    let output = chorale(&["tx", "send", "--rollup", "1001", data, "--node", url, "--json"]);
    let answer: Value = output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())?;
    answer["id"].as_str().map(str::to_owned)
}

fn ask(url: &str, method: &str, params: &Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    call(url.trim_start_matches("http://"), &request.to_string())["result"].clone()
}

/// Under a load, validators are killed one after the other right after they accepted something, and in the end all at
/// once. Everything that was accepted is ordered, and no two nodes disagree about a header or a lane.
#[test]
fn what_was_accepted_is_ordered_whoever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(folder.path(), &["--validators", "4", "--load", "50"]);
    let urls: Vec<String> = devnet.status().iter().map(|node| node["url"].as_str().unwrap().to_owned()).collect();
    let mut accepted = Vec::new();
    for round in 0..8 {
        let victim = round % 4;
        // Nodes that are starting again accept nothing, which is an answer too.
        for number in 0..3 {
            let through = (victim + number) % 4;
            accepted.extend(submit(&urls[through], &format!("round {round} number {number}")));
        }
        accepted.extend(submit(&urls[victim], &format!("round {round} last words")));
        let before = devnet.nodes()[victim];
        signal("KILL", before);
        eventually("the node runs again", || (devnet.nodes()[victim] != before).then_some(()));
    }
    assert!(accepted.len() >= 16, "too few were accepted: {}", accepted.len());
    accepted.extend(urls.iter().filter_map(|url| submit(url, &format!("to {url} before all die"))));
    devnet.nodes().into_iter().for_each(|node| signal("KILL", node));

    for id in &accepted {
        eventually(&format!("{id} is attested on every node"), || {
            let is_attested = |url: &String| {
                let output = chorale(&["tx", "status", id, "--node", url, "--json"]);
                let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
                let state = answer.get("status").unwrap_or(&answer)["state"].clone();
                (state == "order_attested").then_some(())
            };
            urls.iter().map(is_attested).collect::<Option<Vec<()>>>()
        });
    }
    let last = devnet.committed().iter().flatten().min().copied().unwrap();
    for height in 1..=last {
        let headers: Vec<Value> =
            urls.iter().map(|url| ask(url, "chorale_header", &json!([height]))["id"].clone()).collect();
        assert!(headers[0].is_string(), "height {height}: {headers:?}");
        assert!(headers.iter().all(|id| *id == headers[0]), "height {height}: {headers:?}");
    }
    devnet.end("TERM");
}
