use crate::network::{Devnet, chorale, eventually, is_running, signal};

#[test]
fn a_network_commits_survives_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(folder.path(), &["--validators", "4"]);
    devnet.wait_for_height(3);
    let chain = devnet.status()[0]["node"]["chain"].clone();
    assert!(chain.is_string());

    // A second one in the same folder would take the first one's ports and sign with its keys.
    let second = chorale(&["devnet", "--plain", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already runs in this folder"));

    // One validator dies at any moment: the others go on, and it comes back and catches up.
    let killed = devnet.nodes()[1];
    signal("KILL", killed);
    devnet.wait_for_line("node-1 runs again");
    eventually("the killed process is gone", || (!is_running(killed)).then_some(()));
    let height = devnet.committed().iter().flatten().max().copied().unwrap();
    devnet.wait_for_height(height + 3);

    // Ctrl-C, and a second start goes on with the same chain.
    devnet.end("INT");
    let devnet = Devnet::start(folder.path(), &[]);
    devnet.wait_for_height(height + 6);
    assert_eq!(devnet.status()[0]["node"]["chain"], chain);

    // All nodes die at once.
    devnet.nodes().into_iter().for_each(|node| signal("KILL", node));
    devnet.wait_for_line("node-3 runs again");
    devnet.wait_for_height(height + 9);

    // Even a network that is killed itself leaves no node behind.
    devnet.end("KILL");
}
