//! Conversions between the two versions of the format.
//!
//! Version 0 had no `SHARDING`: its shard directories are those of `prefix/n`, and every program had to
//! know the n. So a conversion writes or removes `SHARDING`, and moves no block. At every step the
//! directory is whole in the one version or in the other.

use std::path::Path;

use crate::blocking;
use crate::disk::{DirEntry, Kind, Listing, if_there};
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::format::{self, BlockKey, SHARDING, TEMP, UNCLEAN};
use crate::store::{DirState, Opener};

/// Makes a store of a directory of version 0, which has blocks in shard directories named by the first
/// `prefix_len` characters of their keys, but no `SHARDING`. No block is touched.
///
/// Every directory there must have a name of that length, and the first block in each must belong
/// there; so neither a wrong `prefix_len` nor a store that has lost its `SHARDING` hides blocks. An
/// empty directory becomes an empty store. What is in flight in `.temp` is removed, and the disk usage
/// is counted when the store is next opened.
///
/// ```no_run
/// # async fn example() -> ds_flatfs::Result<()> {
/// ds_flatfs::maintenance::upgrade("blocks", 5).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::InvalidShard`] if `prefix_len` is 0 or more than 255, [`Error::NotConvertible`] if
/// something there doesn't fit, [`Error::Exists`] or [`Error::ShardMismatch`] if it is a store already,
/// [`Error::NotAStore`] if it is neither, [`Error::Unexpected`], [`Error::Locked`] and [`Error::Io`].
///
/// # Cancel safety
///
/// It goes on on its own.
///
/// # Durability
///
/// The store survives a power cut. After one in the middle the directory is a store, or of version 0 as
/// before.
pub async fn upgrade(dir: impl AsRef<Path>, prefix_len: usize) -> Result<()> {
    let shard = Shard::prefix(prefix_len)?;
    let opening = Opener::of(dir.as_ref()).await?;
    blocking::run(move || to_version_1(&opening, shard)).await
}

/// Makes a directory of version 0 of a store: removes its `SHARDING`, its cached disk usage and the
/// empty `.temp`. No block is touched, and no file that isn't the store's own; an empty hidden `.lock`
/// stays.
///
/// Only a store of `prefix/n` can be one of version 0, and only if nothing is in flight: what a session
/// has left that crashed is for the next writer to complete or to remove, so open and close the store
/// first.
///
/// # Errors
///
/// [`Error::NotConvertible`] if its shard function is another one or something is in flight,
/// [`Error::NotAStore`], [`Error::InvalidShard`], [`Error::Locked`] if a writer has it open, and
/// [`Error::Io`].
///
/// # Cancel safety
///
/// It goes on on its own.
///
/// # Durability
///
/// What was done survives a power cut. After one in the middle the directory is of version 0, or a store
/// as before, which counts its disk usage when it is next opened.
pub async fn downgrade(dir: impl AsRef<Path>) -> Result<()> {
    let opening = Opener::of(dir.as_ref()).await?;
    blocking::run(move || to_version_0(&opening)).await
}

pub(crate) fn to_version_1(opening: &Opener, shard: Shard) -> Result<()> {
    // Before the lock, which makes a file: what is refused stays as it is.
    check_version_0(opening, shard)?;
    let _lock = opening.lock()?;
    check_version_0(opening, shard)?;
    opening.mark_as_store(shard)
}

pub(crate) fn to_version_0(opening: &Opener) -> Result<()> {
    check_version_1(opening)?;
    let _lock = opening.lock()?;
    check_version_1(opening)?;
    check_nothing_in_flight(opening)?;
    opening.forget_disk_usage()?;
    opening.remove_file(UNCLEAN)?;
    // Before the SHARDING: should something have come into it after all, this fails.
    let temp = opening.root.join(TEMP);
    if_there(opening.disk.remove_dir(&temp)).map_err(|error| Error::io("remove", temp, error))?;
    opening.remove_file(SHARDING)?;
    opening.sync_dir(&opening.root)
}

fn check_version_1(opening: &Opener) -> Result<()> {
    match opening.look()? {
        DirState::Store(found) if is_prefix(found) => Ok(()),
        DirState::Store(found) => Err(Error::NotConvertible {
            path: opening.root.join(SHARDING),
            reason: format!(
                "it names {}, and a directory of version 0 is always sharded by prefix",
                found.short()
            ),
        }),
        place @ DirState::Resharding(_) => Err(opening.refusal(&place)),
        DirState::Missing => Err(opening.not_a_store("there is nothing")),
        DirState::Empty | DirState::Foreign => {
            Err(opening.not_a_store("it has no SHARDING to remove"))
        }
    }
}

fn is_prefix(shard: Shard) -> bool {
    Shard::prefix(shard.length()).is_ok_and(|prefix| prefix == shard)
}

/// A program that knows version 0 only would leave a committed batch as it is for ever, and may take
/// the blocks of a batch that was never committed for blocks of the store.
fn check_nothing_in_flight(opening: &Opener) -> Result<()> {
    let temp = opening.root.join(TEMP);
    let Some(mut entries) = list_if_there(opening, &temp)? else {
        return Ok(());
    };
    match entries.next() {
        None => Ok(()),
        Some(Err(error)) => Err(Error::io("list", temp, error)),
        Some(Ok(entry)) => Err(Error::NotConvertible {
            path: temp.join(entry.name),
            reason: "a session that crashed has left it; \
                     open the store for writing and close it again, which sees to that"
                .to_owned(),
        }),
    }
}

fn check_version_0(opening: &Opener, shard: Shard) -> Result<()> {
    match opening.look()? {
        DirState::Empty => Ok(()),
        DirState::Foreign => check_shard_dirs(opening, shard),
        place @ DirState::Resharding(_) => Err(opening.refusal(&place)),
        DirState::Missing => Err(opening.not_a_store("there is nothing")),
        DirState::Store(found) => {
            opening.check_shard(found, Some(shard))?;
            Err(Error::Exists {
                path: opening.root.clone(),
            })
        }
    }
}

fn check_shard_dirs(opening: &Opener, shard: Shard) -> Result<()> {
    let mut has_shards = false;
    for entry in list(opening, &opening.root)? {
        let entry = entry.map_err(|error| Error::io("list", &opening.root, error))?;
        let is_hidden = entry.name.as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.kind != Kind::File {
            check_shard_dir(opening, shard, &entry)?;
            has_shards = true;
        }
    }
    if has_shards {
        Ok(())
    } else {
        Err(opening.not_a_store("it has files, but no shard directories"))
    }
}

fn check_shard_dir(opening: &Opener, shard: Shard, entry: &DirEntry) -> Result<()> {
    let path = opening.root.join(&entry.name);
    if entry.kind != Kind::Dir {
        return Err(entry.kind.unexpected(path, "directory"));
    }
    if !format::is_shard_name(&entry.name) || entry.name.len() != shard.length() {
        return Err(Error::NotConvertible {
            path,
            reason: format!("{} has no directory of that name", shard.short()),
        });
    }
    match first_block(opening, &path)? {
        Some(block) if *shard.dir(block.name()) != *entry.name => Err(Error::NotConvertible {
            path: path.join(block.file_name()),
            reason: format!(
                "with {} it would belong into {}",
                shard.short(),
                shard.dir(block.name())
            ),
        }),
        _ => Ok(()),
    }
}

fn first_block(opening: &Opener, dir: &Path) -> Result<Option<BlockKey>> {
    for entry in list(opening, dir)? {
        let entry = entry.map_err(|error| Error::io("list", dir, error))?;
        if let Some(block) = BlockKey::of_file(&entry.name) {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

fn list(opening: &Opener, dir: &Path) -> Result<Listing> {
    let listed = opening.disk.list(dir);
    listed.map_err(|error| Error::io("list", dir, error))
}

fn list_if_there(opening: &Opener, dir: &Path) -> Result<Option<Listing>> {
    if_there(opening.disk.list(dir)).map_err(|error| Error::io("list", dir, error))
}
