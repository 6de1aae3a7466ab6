//! `flatfs has`

use clap::Args;

use crate::exit::Outcome;
use crate::key_arg::{KEY_HELP, KeyArg};
use crate::location::StoreArgs;
use crate::open_store;

/// Test whether blocks exist (exit status only)
#[derive(Debug, Args)]
#[command(after_long_help = format!("{KEY_HELP}

The exit status is 0 if all of the blocks exist, 1 if one does not, and 3 if an error prevents the test. \
Only errors are printed.

Example:
  flatfs has blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku && echo found"))]
pub(crate) struct Has {
    #[command(flatten)]
    store: StoreArgs,
    /// CIDs or keys of the store
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<KeyArg>,
}

impl Has {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        open_store::for_reading(&self.store, async |store| {
            for key in &self.keys {
                if !key.exists(&**store).await? {
                    return Ok(Outcome::Found);
                }
            }
            Ok(Outcome::Success)
        })
        .await
    }
}
