//! What is simulated.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The kind of world a network lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One data centre, nothing fails.
    Lan,
    /// Ten regions of AWS with their measured latencies, nothing fails.
    Wan,
    /// Fixed delays, and as many validators dead from the start as may be: every timeout is accounted for.
    Crashed,
    /// Everybody is honest; network, disks, clocks and processes fail, and recover.
    Faulty,
    /// As `Faulty`, and up to a third of the stake attacks.
    Adversarial,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Lan, Self::Wan, Self::Crashed, Self::Faulty, Self::Adversarial];

    const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
            Self::Crashed => "crashed",
            Self::Faulty => "faulty",
            Self::Adversarial => "adversarial",
        }
    }
}

/// How stake is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stakes {
    /// The seed decides.
    Drawn,
    /// All the same.
    Equal,
    /// Between 1 and 10.
    Unequal,
    /// One validator has the most that may fail: just under a third. The others are equal.
    Third,
}

impl Stakes {
    const ALL: [Self; 4] = [Self::Drawn, Self::Equal, Self::Unequal, Self::Third];

    const fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Equal => "equal",
            Self::Unequal => "unequal",
            Self::Third => "third",
        }
    }
}

/// To whom votes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Votes {
    /// The seed decides.
    Drawn,
    /// To the leaders of this view and the next.
    Leaders,
    /// To everyone, with commit votes.
    All,
}

impl Votes {
    const ALL: [Self; 3] = [Self::Drawn, Self::Leaders, Self::All];

    const fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Leaders => "leaders",
            Self::All => "all",
        }
    }
}

/// A word that names none of the choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {kind} is called `{given}`; there are {known}")]
pub struct UnknownName {
    kind: &'static str,
    given: String,
    known: String,
}

macro_rules! named {
    ($type:ident, $kind:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.into_iter().find(|choice| choice.name() == text).ok_or_else(|| UnknownName {
                    kind: $kind,
                    given: text.into(),
                    known: Self::ALL.map(Self::name).join(", "),
                })
            }
        }
    };
}

named!(Profile, "profile");
named!(Stakes, "distribution of stake");
named!(Votes, "way of voting");

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimConfig {
    /// The kind of world.
    pub profile: Profile,
    /// Decides everything that is not fixed here.
    pub seed: u64,
    /// How many validators; 1 to 1000.
    pub validators: usize,
    /// How stake is spread.
    pub stakes: Stakes,
    /// To whom votes go.
    pub votes: Votes,
    /// The run ends when every correct node has committed this height (in profiles with faults: after they end).
    pub heights: u64,
    /// A run that has not ended after this much virtual time is stuck, which is a violation.
    pub duration_ms: u64,
    /// Whether to tell what happened, line by line.
    pub story: bool,
}

impl SimConfig {
    /// The usual run of a profile.
    #[must_use]
    pub const fn new(profile: Profile, seed: u64) -> Self {
        let (validators, stakes, votes, heights) = match profile {
            Profile::Lan => (4, Stakes::Equal, Votes::Leaders, 100),
            Profile::Wan => (50, Stakes::Equal, Votes::Leaders, 100),
            Profile::Crashed => (7, Stakes::Equal, Votes::Leaders, 50),
            Profile::Faulty | Profile::Adversarial => (4, Stakes::Drawn, Votes::Drawn, 8),
        };
        Self { profile, seed, validators, stakes, votes, heights, duration_ms: 600_000, story: false }
    }

    /// The command that replays this run and tells its story.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { profile, seed, validators, stakes, votes, heights, .. } = self;
        format!(
            "./x sim --profile {profile} --seed {seed} --validators {validators} --stakes {stakes} --votes {votes} \
             --heights {heights} --story"
        )
    }
}
