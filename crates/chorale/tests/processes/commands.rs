use crate::network::{chorale, stdout};
use std::{fs, os::unix::fs::PermissionsExt as _};

#[test]
fn every_command_teaches() {
    let help = stdout(&chorale(&["--help"]));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 9, "{commands:?}");
    assert!(help.contains("Exit codes"));
    for command in commands {
        let help = stdout(&chorale(&[command, "--help"]));
        assert!(help.contains("Usage: chorale"), "{command}: {help}");
    }
}

#[test]
fn init_writes_files_that_can_be_read_and_never_overwrites_them() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let arguments = [
        "init",
        "--executed",
        "0",
        "--dir",
        network.to_str().unwrap(),
        "--validators",
        "3",
        "--stakes",
        "5,3,2",
        "--votes",
        "leaders",
    ];
    assert!(stdout(&chorale(&arguments)).contains("next: chorale node --config"));
    let genesis = fs::read_to_string(network.join("genesis.toml")).unwrap();
    assert!(genesis.contains("votes = \"leaders\""));
    for index in 0..3 {
        let node = network.join(format!("node-{index}"));
        let mode = fs::metadata(node.join("keys.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only the owner reads keys");
        let identity = stdout(&chorale(&["keys", "show", node.join("keys.toml").to_str().unwrap(), "--json"]));
        let identity: serde_json::Value = serde_json::from_str(&identity).unwrap();
        assert!(genesis.contains(identity["possession"].as_str().unwrap()), "the genesis names its validators");
    }
    let again = chorale(&arguments);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already; choose another folder"));
}

#[test]
fn keys_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let keys = keys.to_str().unwrap();
    stdout(&chorale(&["keys", "new", keys]));
    let written = fs::read(keys).unwrap();
    assert_eq!(chorale(&["keys", "new", keys]).status.code(), Some(1));
    assert_eq!(fs::read(keys).unwrap(), written);
}

#[test]
fn errors_say_what_to_do() {
    let cases: [(&[&str], i32, &str); 8] = [
        (&["no-such-command"], 2, "unrecognized subcommand"),
        (&["devnet", "--validators", "0"], 2, "0 is not in 1..=128"),
        (&["init", "--dir", "/nonexistent-folder/x", "--stakes", "1,2"], 1, "give one stake for each validator"),
        (&["node", "--config", "/nonexistent/node.toml"], 1, "/nonexistent/node.toml"),
        (&["status", "--network", "/nonexistent"], 1, "start one with `chorale devnet`"),
        (&["status", "--node", "http://127.0.0.1:1"], 1, "no node answers"),
        (
            &["bundle", "send", "--leg", "1001", "--leg", "2:x", "--network", "/nonexistent"],
            1,
            "write rollup, colon, content",
        ),
        (&["sim", "--seeds", "9..1"], 2, "the first seed is above the last"),
    ];
    for (arguments, code, words) in cases {
        let output = chorale(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?} says `{stderr}` and not `{words}`");
    }
}

#[test]
fn a_simulation_is_the_same_every_time() {
    let arguments = ["sim", "--profile", "adversarial", "--seed", "3", "--validators", "4"];
    let trace = |output: &str| output.lines().find(|line| line.starts_with("trace ")).map(str::to_owned);
    let (first, second) = (stdout(&chorale(&arguments)), stdout(&chorale(&arguments)));
    assert!(first.contains("every rule held"), "{first}");
    assert!(trace(&first).is_some());
    assert_eq!(trace(&first), trace(&second));
}
