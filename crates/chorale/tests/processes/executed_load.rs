//! `chorale bench executed`: how fast is not for tests, that nothing is lost is.

use crate::network::{Devnet, stdout};
use serde_json::Value;

#[test]
fn everything_that_a_load_submits_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(&folder.path().join("network"), &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    // So few that every account sends one at most: of two the later one may be ordered first, and then has no effect.
    let load = ["bench", "executed", "--rate", "120", "--bundles", "20", "--json"];
    let times = ["--seconds", "3", "--warmup", "1", "--drain", "60"];
    // Twice: whoever runs it again has other accounts, and the same developer.
    for _ in 0..2 {
        let report: Value = serde_json::from_str(&stdout(&devnet.run(&[&load[..], &times].concat()))).unwrap();
        // Of 100 units 20 are bundles of two.
        assert_eq!((&report["submittedUnits"], &report["acceptedUnits"]), (&300.into(), &300.into()), "{report}");
        assert_eq!((&report["executed"], &report["others"]), (&360.into(), &0.into()), "{report}");
        assert_eq!(report["withoutBlock"], 0, "{report}");
    }
    devnet.end("INT");
}
