use super::{
    BlockTimes, DomainFile, EpochFile, EvmFile, Genesis, GenesisError, GenesisFile, GenesisParameters, RevealWhen,
    RollupFile, ValidatorFile, VotesTo,
};
use crate::{
    ConsensusSecret, DomainId, Epoch, EpochInfo, Height, NodeKey, RollupId,
    codec::{Encode, decode},
};
use proptest::prelude::*;
use std::{path::PathBuf, sync::LazyLock};

fn validator(name: &str, seed: u8, stake: &str) -> ValidatorFile {
    let secret = ConsensusSecret::from_seed([seed; 32]);
    ValidatorFile {
        name: name.to_owned(),
        node: hex::encode([seed; 32]),
        key: hex::encode(secret.public().encode()),
        possession: hex::encode(secret.prove_possession().0),
        stake: stake.to_owned(),
        domains: Vec::new(),
    }
}

fn evm(domain: u64) -> EvmFile {
    EvmFile { domain, genesis: "0b".repeat(32), base_fee_change_denominator: 8, base_fee_elasticity: 2, owner: None }
}

/// Making a proof of possession costs milliseconds; the file is made once.
static EXAMPLE: LazyLock<GenesisFile> = LazyLock::new(|| GenesisFile {
    name: "example".to_owned(),
    time_ms: 1_790_000_000_000,
    parameters: GenesisParameters { epoch_heights: 100, ..GenesisParameters::default() },
    rollups: vec![
        RollupFile { id: 1001, name: "one".to_owned(), has_nonces: false, evm: None },
        RollupFile { id: 1002, name: "two \"quoted\"".to_owned(), has_nonces: true, evm: Some(evm(7)) },
    ],
    domains: Vec::new(),
    validators: vec![validator("a", 1, "1000"), validator("b", 2, "1000"), validator("c", 3, "2000")],
    epochs: vec![EpochFile { from: 3, validators: vec![validator("a", 1, "1"), validator("d", 4, "1")] }],
});

fn example() -> GenesisFile {
    EXAMPLE.clone()
}

fn problem(change: impl FnOnce(&mut GenesisFile)) -> String {
    let mut file = example();
    change(&mut file);
    file.check().unwrap_err().to_string()
}

#[test]
fn domains_are_written_with_their_rules_and_who_attests_them() {
    let mut file = example();
    file.domains = vec![DomainFile { blocks: BlockTimes::Second, attestation_lag_max: 64, ..DomainFile::new(7) }];
    file.rollups[1].evm.as_mut().unwrap().owner = Some("0a".repeat(20));
    file.validators[1].domains = vec![7];
    file.validators[2].domains = vec![7];
    file.epochs[0].validators[1].domains = vec![7];
    let genesis = file.check().unwrap();
    let text = file.to_commented_toml();
    assert_eq!(toml::from_str::<GenesisFile>(&text).unwrap(), file);
    assert!(text.lines().all(|line| !line.starts_with('#') || line.len() <= 120), "comments fit a terminal");
    assert_eq!(decode::<Genesis>(genesis.encode()).unwrap(), genesis);
    let domain = genesis.domain(DomainId(7)).unwrap();
    assert_eq!((domain.blocks, domain.attestation_lag_max), (BlockTimes::Second, 64));
    assert!(genesis.is_attested(DomainId(7)) && genesis.domain(DomainId(8)).is_none());
    let info = genesis.attesting(Epoch(2));
    assert_eq!((info.start.height, info.closing), (Height(200), Height(300)));
    assert_eq!(info.validators.total_of(DomainId(7)), 3);
    assert_eq!(genesis.attesting(Epoch(3)).validators.total_of(DomainId(7)), 1);
    // Nobody has to attest a domain.
    assert!(!example().check().unwrap().is_attested(DomainId(7)));
}

#[test]
fn a_file_with_comments_says_the_same() {
    let text = example().to_commented_toml();
    assert_eq!(toml::from_str::<GenesisFile>(&text).unwrap(), example());
    assert_eq!(Genesis::from_toml(&text).unwrap(), example().check().unwrap());
    for line in text.lines().filter(|line| line.starts_with("payload_bytes_max")) {
        assert_eq!(line, "payload_bytes_max = 4194304");
    }
    assert!(text.lines().all(|line| !line.starts_with('#') || line.len() <= 120), "comments fit a terminal");
}

#[test]
fn parameters_that_are_left_out_have_their_defaults() {
    let text = example().to_commented_toml();
    let start = text.find("[parameters]").unwrap();
    let end = start + text[start..].find("\n\n").unwrap_or_else(|| text[start..].find("\n[[").unwrap());
    let genesis = Genesis::from_toml(&format!("{}{}", &text[..start], &text[end..])).unwrap();
    assert_eq!(*genesis.parameters(), GenesisParameters::default());
}

#[test]
fn fixtures_of_the_canonical_encoding_are_as_they_were() {
    let genesis = example().check().unwrap();
    let path = PathBuf::from("fixtures/genesis.hex");
    let text = format!("{}\n{}\n", hex::encode(genesis.encode()), hex::encode(genesis.chain().as_ref()));
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap(), "the format of the genesis changed");
    let encoded = hex::decode(text.lines().next().unwrap()).unwrap();
    assert_eq!(decode::<Genesis>(encoded).unwrap(), genesis);
}

#[test]
fn everything_that_counts_names_another_chain() {
    let chain = |change: &dyn Fn(&mut GenesisFile)| {
        let mut file = example();
        change(&mut file);
        file.check().unwrap().chain()
    };
    let original = chain(&|_| {});
    let attested = |file: &mut GenesisFile| {
        for validator in file.validators.iter_mut().chain(&mut file.epochs[0].validators) {
            validator.domains = vec![7];
        }
    };
    let changes: [&dyn Fn(&mut GenesisFile); 32] = [
        &|file| file.name.push('x'),
        &|file| file.time_ms += 1,
        &|file| file.parameters.votes = VotesTo::Leaders,
        &|file| file.parameters.reveal = RevealWhen::Certified,
        &|file| file.parameters.timeout_base_ms += 1,
        &|file| file.parameters.timeout_ms_max += 1,
        &|file| file.parameters.clock_drift_ms += 1,
        &|file| file.parameters.idle_interval_ms += 1,
        &|file| file.parameters.pace_ms += 1,
        &|file| file.parameters.pace_bytes_per_ms += 1,
        &|file| file.parameters.time_step_ms_max -= 1,
        &|file| file.parameters.payload_bytes_max += 1,
        &|file| file.parameters.retention_heights += 1,
        &|file| file.parameters.epoch_heights += 1,
        &|file| file.parameters.dedup_window_heights += 1,
        &|file| file.rollups[0].id += 9,
        &|file| file.rollups[0].name.push('x'),
        &|file| file.rollups[0].has_nonces = true,
        &|file| file.rollups[1].evm = None,
        &|file| file.rollups[1].evm = Some(evm(8)),
        &|file| file.rollups[1].evm.as_mut().unwrap().genesis.replace_range(..1, "1"),
        &|file| file.rollups[1].evm.as_mut().unwrap().base_fee_elasticity = 3,
        &|file| file.rollups[1].evm.as_mut().unwrap().owner = Some("11".repeat(20)),
        &|file| file.domains = vec![DomainFile { attestation_lag_max: 99, ..DomainFile::new(7) }],
        &|file| file.domains = vec![DomainFile { blocks: BlockTimes::Second, ..DomainFile::new(7) }],
        &|file| file.domains = vec![DomainFile { synchronous_calls: true, ..DomainFile::new(7) }],
        &attested,
        &|file| file.validators[0].name.push('x'),
        &|file| file.validators[0].stake = "1001".to_owned(),
        &|file| file.validators[0].node = hex::encode([9; 32]),
        &|file| file.validators.swap(0, 1),
        &|file| file.epochs[0].from += 1,
    ];
    let chains: std::collections::BTreeSet<_> = changes.iter().map(|change| chain(*change)).collect();
    assert_eq!(chains.len(), changes.len());
    assert!(!chains.contains(&original));
    assert_eq!(
        chain(&|file| file.domains = vec![DomainFile::new(7)]),
        original,
        "these are the rules if none are written"
    );
    assert_eq!(chain(&|file| file.rollups.reverse()), original, "rollups are sorted, so their order is free");
}

#[test]
fn epochs_follow_each_other_with_the_validators_of_their_row() {
    let genesis = example().check().unwrap();
    let first = genesis.first_epoch();
    assert_eq!((first.epoch, first.start.height, first.closing), (Epoch(0), Height(0), Height(100)));
    assert_eq!(first.validators.weights(), [1, 1, 2]);
    let start = EpochInfo::start_block(Height(300), genesis.block());
    let members = |epoch| genesis.epoch(Epoch(epoch), start).validators.len();
    assert_eq!([members(2), members(3), members(9)], [3, 2, 2]);
    assert_eq!(genesis.epoch(Epoch(3), start).closing, Height(400));
    assert_eq!(genesis.validator_name(Epoch(2), &NodeKey([2; 32])).unwrap(), "b");
    assert_eq!(genesis.validator_name(Epoch(3), &NodeKey([2; 32])), None);
    assert_eq!(genesis.rollups()[1].id, RollupId(1002));
}

#[test]
fn errors_name_the_field_and_what_would_be_right() {
    let cases: [(String, &str); 25] = [
        (problem(|file| file.parameters.timeout_base_ms = 1), "parameters.timeout_base_ms is 1; it must be 10 to"),
        (
            problem(|file| file.parameters.time_step_ms_max = 1_000),
            "parameters.time_step_ms_max is 1000; it must be 1 to 999",
        ),
        (problem(|file| file.parameters.payload_bytes_max = 1), "parameters.payload_bytes_max is 1"),
        (problem(|file| file.rollups[1].id = 1001), "rollups name id 1001 twice"),
        (problem(|file| file.rollups[1].has_nonces = false), "rollups[1].has_nonces must be true"),
        (problem(|file| file.rollups[0].id = 0), "rollups use id 0, which is the chain's own"),
        (
            problem(|file| file.domains = vec![DomainFile::new(8)]),
            "domains[0].id is 8, and no rollup is in that domain",
        ),
        (problem(|file| file.domains = vec![DomainFile::new(7), DomainFile::new(7)]), "domains[1].id is 7 again"),
        (
            problem(|file| file.domains = vec![DomainFile { attestation_lag_max: 15, ..DomainFile::new(7) }]),
            "domains[0].attestation_lag_max is 15; it must be 16 to 16384",
        ),
        (
            problem(|file| {
                let both = DomainFile { blocks: BlockTimes::Second, synchronous_calls: true, ..DomainFile::new(7) };
                file.domains = vec![both];
            }),
            "domains[0].synchronous_calls must be false where blocks = \"second\"",
        ),
        (problem(|file| file.validators[0].domains = vec![9]), "validators[0].domains name 9, and no rollup is in"),
        (problem(|file| file.validators[0].domains = vec![7, 7]), "validators[0].domains name a domain twice"),
        (
            problem(|file| file.validators[2].domains = vec![7]),
            "validators of epoch 3 that execute domain 7 have weight 0 of 2, and a quorum of them 1: 1 is what one",
        ),
        (
            problem(|file| file.rollups[1].evm.as_mut().unwrap().owner = Some("me".to_owned())),
            "rollups[1].evm.owner must be 40 hexadecimal digits",
        ),
        (problem(|file| file.rollups[1].evm = Some(evm(0))), "rollups[1].evm.domain is 0; it must be 1 to"),
        (
            problem(|file| file.rollups[1].evm.as_mut().unwrap().genesis = "1".to_owned()),
            "rollups[1].evm.genesis must be 64 hexadecimal digits",
        ),
        (
            problem(|file| {
                let more = |id| RollupFile { id, ..file.rollups[1].clone() };
                let more: Vec<RollupFile> = (2000..2008).map(more).collect();
                file.rollups.extend(more);
            }),
            "rollups put more than 8 into domain 7",
        ),
        (
            problem(|file| file.validators[1].node = "xyz".to_owned()),
            "validators[1].node must be 64 hexadecimal digits",
        ),
        (problem(|file| file.validators[1].key = "00".repeat(96)), "validators[1].key is no BLS12-381 public key"),
        (
            problem(|file| file.validators[1].possession = file.validators[0].possession.clone()),
            "validators[1].possession does not prove possession of the key",
        ),
        (problem(|file| file.validators[2].stake = "-5".to_owned()), "validators[2].stake must be a number of wei"),
        (problem(|file| file.validators[2].name = "a".to_owned()), "validators use a name twice"),
        (problem(|file| file.validators.clear()), "validators of epoch 0"),
        (problem(|file| file.epochs[0].from = 0), "epochs[0].from must be later"),
        (problem(|file| file.name = "\n".to_owned()), "name must be 1 to 64 bytes of printable text"),
    ];
    for (problem, expected) in cases {
        assert!(problem.contains(expected), "`{problem}` does not say `{expected}`");
    }
}

#[test]
fn a_key_of_two_validators_is_found() {
    let twice =
        problem(|file| file.validators[1] = ValidatorFile { name: "other".into(), ..file.validators[0].clone() });
    assert!(twice.contains("validators of epoch 0"), "{twice}");
}

#[test]
fn unknown_and_missing_fields_are_errors() {
    let text = example().to_commented_toml();
    let unknown = text.replace("pace_ms =", "pace =");
    let Err(GenesisError::Toml(message)) = Genesis::from_toml(&unknown) else { panic!("accepted an unknown field") };
    assert!(message.contains("unknown field `pace`"), "{message}");
    let missing = text.replace("time_ms = 1790000000000", "");
    let Err(GenesisError::Toml(message)) = Genesis::from_toml(&missing) else { panic!("accepted a missing field") };
    assert!(message.contains("missing field `time_ms`"), "{message}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = Genesis::from_toml(&text);
    }

    #[test]
    fn any_bytes_decode_to_nothing_or_to_themselves(flip in 0usize..500, bit in 0u8..8) {
        let mut bytes = example().check().unwrap().encode().to_vec();
        let index = flip % bytes.len();
        bytes[index] ^= 1 << bit;
        if let Ok(genesis) = decode::<Genesis>(bytes.clone()) {
            prop_assert_eq!(genesis.encode().to_vec(), bytes);
        }
    }
}
