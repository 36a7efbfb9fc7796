//! The configuration of a domain's node: one TOML file, with a comment on everything.

use serde::{Deserialize, Serialize};
use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

/// What is in the file. Paths in it are relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupConfig {
    /// The genesis of the sequencers' chain.
    pub genesis: PathBuf,
    /// The sequencer's nodes, to follow and to hand transactions to.
    pub nodes: Vec<String>,
    /// Where all that is executed is written.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// So many of the last blocks of each rollup are kept; all if it is left out.
    #[serde(default)]
    pub retain_blocks: Option<NonZeroU64>,
    /// What is logged.
    #[serde(default = "info")]
    pub log: String,
    /// Origins whose web pages may use the interface; `*` stands for all.
    #[serde(default = "any")]
    pub cors: Vec<String>,
    /// The rollups of the domain: all of them, as a bundle may touch any.
    pub rollups: Vec<ServedRollup>,
}

/// A rollup of the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedRollup {
    /// Its own genesis, as Ethereum's clients read it.
    pub genesis: PathBuf,
    /// Where its JSON-RPC is served.
    pub listen: SocketAddr,
    /// An execution client of one's own that is handed its blocks.
    #[serde(default)]
    pub engine: Option<EngineConfig>,
}

/// An execution client that follows a rollup, over Ethereum's Engine API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Where its Engine API is, over HTTP.
    pub url: String,
    /// The file with the secret that it was started with: 32 bytes in hexadecimal.
    pub jwt: PathBuf,
    /// What it is.
    #[serde(default)]
    pub kind: EngineKind,
}

/// What an execution client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// One of Ethereum: it executes the blocks.
    #[default]
    Ethereum,
    /// One of the OP stack: it makes its own of the same transactions.
    OpStack,
}

fn info() -> String {
    "info".to_owned()
}

/// The interface holds no keys: a page can do no more with it than anybody else.
fn any() -> Vec<String> {
    vec!["*".to_owned()]
}

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("reading {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What is in it.
    #[error("{path}: {error}")]
    Toml {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: Box<toml::de::Error>,
    },
}

impl RollupConfig {
    /// Reads a file. Paths in what is returned are as from here.
    ///
    /// # Errors
    ///
    /// It is not there, or something in it is not understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Toml { path: path.to_owned(), error: Box::new(error) })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.genesis = folder.join(&config.genesis);
        config.data = config.data.map(|data| folder.join(data));
        for rollup in &mut config.rollups {
            rollup.genesis = folder.join(&rollup.genesis);
            if let Some(engine) = &mut rollup.engine {
                engine.jwt = folder.join(&engine.jwt);
            }
        }
        Ok(config)
    }

    /// The file, with a comment on everything in it.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned());
        let nodes: Vec<toml::Value> = self.nodes.iter().map(|node| quoted(node)).collect();
        let data = self.data.as_ref().map_or_else(
            || "# data = \"data\"".to_owned(),
            |data| format!("data = {}", quoted(&data.to_string_lossy())),
        );
        let retain_blocks = self
            .retain_blocks
            .map_or_else(|| "# retain_blocks = 1000000".to_owned(), |blocks| format!("retain_blocks = {blocks}"));
        let mut text = format!(
            "# A node of the rollups of one domain: `chorale rollup --config` with this file. Paths are relative to it.\n\n\
             # The genesis of the sequencers' chain: all trust begins here.\ngenesis = {}\n\
             # The sequencer's nodes, to follow and to hand transactions to. None is believed: one that is honest is enough.\n\
             nodes = {}\n\
             # Where all that is executed is written, in a folder that no other process uses. From there the node goes on when\n\
             # it starts again; without it, all is executed anew from the first height, which few nodes keep.\n{}\n\
             # So many of the last blocks of each rollup are kept, with their receipts; all if this is left out.\n{}\n\
             # What is logged, for example \"info\" or \"debug,hyper=warn\".\nlog = {}\n\
             # Origins whose web pages may use the interface, for example \"https://app.example\"; \"*\" stands for all: it\n\
             # holds no keys.\ncors = {}\n\n\
             # All rollups of the domain, as a bundle may touch any. `genesis`: the rollup's own, as Ethereum's clients read\n\
             # it; the chain's genesis names the hash of its block 0. `listen`: where its JSON-RPC is served, over HTTP and\n\
             # WebSocket. `engine`: an execution client of your own that is handed the rollup's blocks over the Engine API, and\n\
             # executes them again; where it listens, the file with the secret that it was started with, and whether it is one\n\
             # of \"ethereum\" or of the \"op-stack\". By the chain's genesis, blocks\n\
             # have to be by the second, and calls between rollups off.\n",
            quoted(&self.genesis.to_string_lossy()),
            toml::Value::Array(nodes),
            data,
            retain_blocks,
            quoted(&self.log),
            toml::Value::Array(self.cors.iter().map(|origin| quoted(origin)).collect()),
        );
        for ServedRollup { genesis, listen, engine } in &self.rollups {
            let genesis = quoted(&genesis.to_string_lossy());
            let _ = write!(text, "[[rollups]]\ngenesis = {genesis}\nlisten = \"{listen}\"\n");
            let _ = match engine {
                Some(EngineConfig { url, jwt, kind }) => {
                    let (url, jwt) = (quoted(url), quoted(&jwt.to_string_lossy()));
                    let kind = match kind {
                        EngineKind::Ethereum => "ethereum",
                        EngineKind::OpStack => "op-stack",
                    };
                    writeln!(text, "[rollups.engine]\nurl = {url}\njwt = {jwt}\nkind = \"{kind}\"\n")
                }
                None => writeln!(
                    text,
                    "# [rollups.engine]\n# url = \"http://127.0.0.1:8551\"\n# jwt = \"jwt.hex\"\n# kind = \"ethereum\"\n"
                ),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_comments_says_the_same() {
        let rollup = |port| ServedRollup {
            genesis: format!("rollup-{port}.json").into(),
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            engine: None,
        };
        let driven = ServedRollup {
            engine: Some(EngineConfig {
                url: "http://127.0.0.1:8551".to_owned(),
                jwt: "jwt.hex".into(),
                kind: EngineKind::OpStack,
            }),
            ..rollup(9546)
        };
        let mut config = RollupConfig {
            genesis: "../genesis.toml".into(),
            nodes: vec!["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned()],
            data: Some("data".into()),
            retain_blocks: NonZeroU64::new(1_000),
            log: "info".to_owned(),
            cors: vec!["https://app.example".to_owned()],
            rollups: vec![rollup(9545), driven],
        };
        assert_eq!(toml::from_str::<RollupConfig>(&config.to_commented_toml()).ok(), Some(config.clone()));
        (config.data, config.retain_blocks) = (None, None);
        assert_eq!(toml::from_str::<RollupConfig>(&config.to_commented_toml()).ok(), Some(config));
    }
}
