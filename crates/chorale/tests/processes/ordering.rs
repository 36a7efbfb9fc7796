use crate::network::{Devnet, chorale, stdout};
use serde_json::Value;
use std::fs;

#[test]
fn what_is_submitted_is_ordered_everywhere_and_proven() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--validators", "4", "--rollups", "2"]);

    let sent = devnet.run(&["tx", "send", "--rollup", "1001", "hello", "--wait", "attested", "--json"]);
    let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    assert_eq!(sent["status"]["state"], "order_attested");
    let id = sent["id"].as_str().unwrap();
    let height = sent["status"]["height"].as_u64().unwrap();
    devnet.wait_for_height(height);
    assert!(stdout(&devnet.run(&["tx", "status", id])).contains(&format!("order_attested at height {height}")));

    let proof = folder.path().join("tx.proof");
    let proof = proof.to_str().unwrap();
    stdout(&devnet.run(&["tx", "prove", id, "--out", proof]));
    let bundle =
        devnet.run(&["bundle", "send", "--leg", "1001:lock", "--leg", "1002:mint", "--wait", "attested", "--json"]);
    let bundle: Value = serde_json::from_str(&stdout(&bundle)).unwrap();
    assert_eq!(bundle["status"]["state"], "order_attested");
    let bundle_proof = folder.path().join("bundle.proof");
    let bundle_proof = bundle_proof.to_str().unwrap();
    stdout(&devnet.run(&["bundle", "prove", bundle["id"].as_str().unwrap(), "--out", bundle_proof]));
    devnet.end("TERM");

    // Nothing of the network is needed any more.
    let genesis = network.join("genesis.toml");
    let genesis = genesis.to_str().unwrap();
    let verified: Value =
        serde_json::from_str(&stdout(&chorale(&["verify", proof, "--genesis", genesis, "--json"]))).unwrap();
    assert_eq!((&verified["valid"], &verified["id"], &verified["height"]), (&true.into(), &id.into(), &height.into()));
    assert!(stdout(&chorale(&["verify", bundle_proof, "--genesis", genesis])).contains("with all of its 2 legs"));

    // Under another genesis, or with a bit changed, it proves nothing.
    let other = folder.path().join("other");
    stdout(&chorale(&["init", "--executed", "0", "--dir", other.to_str().unwrap()]));
    let other = other.join("genesis.toml");
    assert_eq!(chorale(&["verify", proof, "--genesis", other.to_str().unwrap()]).status.code(), Some(3));
    let mut bytes = fs::read(proof).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(proof, bytes).unwrap();
    assert_eq!(chorale(&["verify", proof, "--genesis", genesis]).status.code(), Some(3));
}

#[test]
fn a_load_is_settled_on_every_node() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(folder.path(), &["--validators", "4"]);
    let report =
        devnet.run(&["bench", "load", "--rate", "200", "--seconds", "4", "--warmup", "1", "--drain", "60", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&report)).unwrap();
    assert!(report["accepted"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["unsettledAtEnd"], 0, "{report:#}");
    assert_eq!(report["refused"], serde_json::json!({}), "{report:#}");
    assert!(report["latency"]["committed"]["count"].as_u64().unwrap() > 0, "{report:#}");
    devnet.end("INT");
}
