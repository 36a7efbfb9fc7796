//! A genesis file with a comment on everything in it.

use super::{BlockTimes, DomainFile, EvmFile, GenesisFile, GenesisParameters, RevealWhen, ValidatorFile, VotesTo};
use std::fmt::Write as _;

impl GenesisFile {
    /// The file as TOML, with a comment on every field that says what it does and what speaks for another value.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let mut text = format!(
            "# The genesis of a Chorale chain. Every node of the chain has the same; the hash of its content (not of its\n\
             # comments and spelling) is the chain id, so after the start nothing in it can be changed.\n\n\
             # For people.\nname = {}\n\
             # When the chain starts, in milliseconds since 1970: no block is older.\ntime_ms = {}\n\n{}",
            quoted(&self.name),
            self.time_ms,
            parameters(&self.parameters),
        );
        text.push_str(
            "\n# The rollups that are known by name. Others may use the chain without asking; what stands here is what\n\
             # cannot be seen from outside. `has_nonces = true`: the rollup skips repeats of a transaction by itself, so\n\
             # that one transaction may be ordered again (false: never twice within `dedup_window_heights`).\n\
             # `[rollups.evm]`: it is an EVM rollup that nodes of its domain execute, with the block 0 of this hash\n\
             # (`chorale rollup genesis` prints it). Bundles that touch only rollups of one domain take effect on all of\n\
             # them or on none. `owner`: the Ethereum address whose key lets it go on after it was suspended (left out: it\n\
             # goes on by itself, when its domain is attested again).\n",
        );
        for rollup in &self.rollups {
            let (id, name, has_nonces) = (rollup.id, quoted(&rollup.name), rollup.has_nonces);
            push(&mut text, &format!("[[rollups]]\nid = {id}\nname = {name}\nhas_nonces = {has_nonces}\n"));
            if let Some(EvmFile { domain, genesis, base_fee_change_denominator, base_fee_elasticity, owner }) =
                &rollup.evm
            {
                let owner = owner.as_ref().map_or_else(String::new, |owner| format!("owner = {}\n", quoted(owner)));
                push(
                    &mut text,
                    &format!(
                        "[rollups.evm]\ndomain = {domain}\ngenesis = {}\n\
                         base_fee_change_denominator = {base_fee_change_denominator}\n\
                         base_fee_elasticity = {base_fee_elasticity}\n{owner}",
                        quoted(genesis)
                    ),
                );
            }
            text.push('\n');
        }
        text.push_str(
            "# The domains. `blocks = \"height\"`: a block for each height with content, whose timestamps may repeat;\n\
             # \"second\": one for all heights of a second, as unmodified execution clients want it. `synchronous_calls`:\n\
             # legs of bundles may call contracts of other rollups, which no unmodified client can follow.\n\
             # `attestation_lag_max`: rollups are suspended when content that old, in heights, is not attested.\n",
        );
        for DomainFile { id, blocks, synchronous_calls, attestation_lag_max } in &self.domains {
            let blocks = match blocks {
                BlockTimes::Height => "height",
                BlockTimes::Second => "second",
            };
            push(
                &mut text,
                &format!(
                    "[[domains]]\nid = {id}\nblocks = \"{blocks}\"\nsynchronous_calls = {synchronous_calls}\n\
                     attestation_lag_max = {attestation_lag_max}\n\n"
                ),
            );
        }
        text.push_str(
            "# The validators. `node` is the mesh identity (ed25519), `key` the consensus key (BLS12-381), `possession`\n\
             # the proof that somebody has its secret: `chorale keys show` prints all three. `stake` in wei decides voting\n\
             # power, chunks to store and turns to lead; it is scaled to small whole weights. `domains`: whose rollups it\n\
             # executes and attests; at least about half of the weight, or nobody.\n",
        );
        for one in &self.validators {
            push(&mut text, &format!("[[validators]]\n{}\n", validator(one)));
        }
        for epoch in &self.epochs {
            push(
                &mut text,
                &format!("# Validators from epoch {} on.\n[[epochs]]\nfrom = {}\n\n", epoch.from, epoch.from),
            );
            for one in &epoch.validators {
                push(&mut text, &format!("[[epochs.validators]]\n{}\n", validator(one)));
            }
        }
        text
    }
}

fn push(text: &mut String, more: &str) {
    let _ = text.write_str(more);
}

fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.to_owned())
}

fn validator(validator: &ValidatorFile) -> String {
    let domains = match validator.domains.as_slice() {
        [] => String::new(),
        domains => format!("domains = {domains:?}\n"),
    };
    format!(
        "name = {}\nnode = {}\nkey = {}\npossession = {}\nstake = {}\n{domains}",
        quoted(&validator.name),
        quoted(&validator.node),
        quoted(&validator.key),
        quoted(&validator.possession),
        quoted(&validator.stake),
    )
}

fn parameters(parameters: &GenesisParameters) -> String {
    // Taken apart by name, so that a new parameter cannot be left out.
    let GenesisParameters {
        votes,
        reveal,
        timeout_base_ms,
        timeout_ms_max,
        clock_drift_ms,
        idle_interval_ms,
        pace_ms,
        pace_bytes_per_ms,
        time_step_ms_max,
        payload_bytes_max,
        retention_heights,
        epoch_heights,
        dedup_window_heights,
    } = parameters;
    let votes = match votes {
        VotesTo::Leaders => "leaders",
        VotesTo::All => "all",
    };
    let reveal = match reveal {
        RevealWhen::Committed => "committed",
        RevealWhen::Certified => "certified",
    };
    format!(
        "[parameters]\n\
         # \"all\": every vote goes to everyone, and blocks commit after three network delays; n x n small messages.\n\
         # \"leaders\": votes go to the leaders of this view and the next; five delays, for sets above about a hundred.\n\
         votes = \"{votes}\"\n\
         # \"committed\": payloads are opened when their order is final. \"certified\": one round earlier; then a leader\n\
         # that gives up its stake can have content read that is not yet ordered for good.\n\
         reveal = \"{reveal}\"\n\
         # The timer of a view, without its part for the network. What a crashed leader costs; too small, and a slow\n\
         # leader counts as crashed.\n\
         timeout_base_ms = {timeout_base_ms}\n\
         # The longest timer: it grows while views fail, and this is how late the chain notices that a partition ended.\n\
         timeout_ms_max = {timeout_ms_max}\n\
         # How far ahead of a validator's clock a header may be. Synchronised clocks are within a tenth of it.\n\
         clock_drift_ms = {clock_drift_ms}\n\
         # How long the leader of an idle chain waits before it makes an empty block. 0: it never waits.\n\
         idle_interval_ms = {idle_interval_ms}\n\
         # The least time between blocks that honest leaders keep. 0: as fast as the network goes, which costs\n\
         # signatures and headers for little content each.\n\
         pace_ms = {pace_ms}\n\
         # For so many bytes of payload in a block leaders wait a millisecond more, at most a quarter of\n\
         # `timeout_base_ms`: what the slowest validator can check and open. 0: never.\n\
         pace_bytes_per_ms = {pace_bytes_per_ms}\n\
         # How far chain time may advance in one block, below `timeout_base_ms`: lying clocks cannot push it ahead.\n\
         time_step_ms_max = {time_step_ms_max}\n\
         # Bytes of one payload: with the time between blocks the greatest throughput, and memory for several of them.\n\
         payload_bytes_max = {payload_bytes_max}\n\
         # Heights whose payloads and lanes validators keep; a follower that was away longer needs an archive node.\n\
         retention_heights = {retention_heights}\n\
         # Heights of an epoch: how often validator sets can change, and how long a validator that lost its record waits.\n\
         epoch_heights = {epoch_heights}\n\
         # Heights for which a transaction of a rollup without nonces is not ordered again. All nodes remember as many.\n\
         dedup_window_heights = {dedup_window_heights}\n"
    )
}
