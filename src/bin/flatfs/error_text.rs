//! [`line`]: an error and its causes as the one line that the user reads.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use ds_flatfs::Error;

use crate::platform;
use crate::text::shorten;

/// The longest part of a line, in bytes. Several paths have room in it.
const MAX_PART: usize = 16 << 10;

/// Returns the error and its sources without repetition, and what to do about it.
pub(crate) fn line(error: &anyhow::Error) -> String {
    match parts(error.as_ref()) {
        (line, Some(hint)) => format!("{line}; {hint}"),
        (line, None) => line,
    }
}

/// Returns the error and its sources without repetition, for a list of many errors.
pub(crate) fn without_hint(error: &Error) -> String {
    parts(error).0
}

fn parts(error: &(dyn StdError + 'static)) -> (String, Option<&'static str>) {
    let (mut parts, mut hint) = (Vec::new(), None);
    let mut sources = anyhow::Chain::new(error).peekable();
    while let Some(source) = sources.next() {
        let library_error = library_error(source);
        let is_last = sources.peek().is_none();
        if matches!(library_error, Some(Error::BatchFailed { .. })) && !is_last {
            // The source says what failed, and the part before this error says what that means for the user.
            continue;
        }
        let io_error = source.downcast_ref::<io::Error>();
        let system = io_error.and_then(platform::clearer_text);
        let text = library_error.and_then(clearer_text);
        let text = text.or(system.map(str::to_owned));
        parts.push(text.unwrap_or_else(|| shorten(source, MAX_PART)));
        hint = hint.or(library_error.and_then(hint_for));
        if matches!(library_error, Some(Error::Full { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
        {
            // The source would say the same again.
            break;
        }
    }
    (parts.join(": "), hint)
}

/// Returns a text for an error whose own text would puzzle a user of the program.
fn clearer_text(error: &Error) -> Option<String> {
    match error {
        Error::Resharding { path, from, to } if from == to => {
            let path = path.display();
            Some(format!(
                "the store at {path} is being re-sharded back to {to}: if no program is doing that \
                 now, complete it with 'flatfs reshard {path} {to}'"
            ))
        }
        // It may be a batch of an earlier command.
        Error::CommitIncomplete { record, .. } => Some(format!(
            "a batch is committed, but not all of it is published yet: the next command that writes \
             will complete it from its record {}",
            record.display()
        )),
        // The library's advice is to commit again, which a command does when it is run again.
        Error::PartlyStored {
            stored,
            puts,
            deleted,
            deletes,
            ..
        } => Some(match (puts, deletes) {
            (_, 0) => format!("{stored} of {puts} blocks are stored"),
            (0, _) => format!("{deleted} of {deletes} blocks are removed"),
            _ => {
                format!("{stored} of {puts} blocks are stored, and {deleted} of {deletes} removed")
            }
        }),
        // Without the advice of the library to open it, which makes no sense for a command that creates a store.
        Error::Exists { path } => Some(format!("there is already a store at {}", path.display())),
        _ => None,
    }
}

/// Returns the command or the option that helps, which the library can't know.
fn hint_for(error: &Error) -> Option<&'static str> {
    const LOST: &str = "if it is a store that has lost its shard function, 'flatfs help verify' says how \
                        to find it";
    match error {
        // A shard function that the user gives is checked with the arguments.
        Error::InvalidShard { .. } => Some(LOST),
        Error::NotAStore { reason, .. } => {
            let is_lost = ["it has files, but no SHARDING", "its SHARDING"];
            let is_lost = is_lost.iter().any(|lost| reason.starts_with(lost));
            is_lost.then_some(LOST)
        }
        Error::KuboRunning { .. } => Some("--ignore-kubo writes anyway"),
        Error::InvalidOption {
            option: "roots", ..
        } => Some("--remove-everything allows it"),
        Error::Corrupt { .. } => Some("'flatfs verify --repair' moves damaged blocks away"),
        Error::UnknownCodec { .. } => {
            Some("--opaque takes such a block, but nothing that it links to")
        }
        // Elsewhere an error of the same kind has another reason.
        _ if cfg!(windows) && error.is_in_use() => {
            Some("close that program, then run the command again")
        }
        _ => None,
    }
}

fn library_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let shared = || error.downcast_ref::<Arc<Error>>().map(Arc::as_ref);
    error.downcast_ref().or_else(shared)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::text::escape;

    #[test]
    fn an_error_is_printed_with_all_of_its_sources_in_one_line() {
        let error = Err::<(), _>(io::Error::other("it\nbroke"))
            .context("cannot read \u{1b}[31m.car")
            .unwrap_err();
        assert_eq!(
            escape(line(&error)),
            "cannot read \\u{1b}[31m.car: it\\nbroke"
        );
    }

    #[test]
    fn an_error_of_many_is_printed_with_its_reason_and_without_advice() {
        let error = Error::Io {
            action: "stat",
            path: "/s/x".into(),
            source: io::Error::other("it broke"),
        };
        assert_eq!(without_hint(&error), "cannot stat /s/x: it broke");
        let corrupt = Error::Corrupt {
            key: "x".to_owned(),
            reason: "a reason".to_owned(),
        };
        assert!(!without_hint(&corrupt).contains("--repair"));
        assert!(line(&corrupt.into()).contains("--repair"));
    }

    #[test]
    fn a_full_disk_is_reported_once_and_a_full_quota_by_its_name() {
        let printed = |kind: io::ErrorKind| {
            let source = Arc::new(Error::Full {
                action: "write",
                path: "/s/x".into(),
                source: kind.into(),
            });
            let failed = Error::BatchFailed { source };
            line(&anyhow::Error::from(failed).context("nothing was imported"))
        };
        let full = "nothing was imported: no space left to write /s/x: \
                    free some space; blocks can still be deleted";
        assert_eq!(printed(io::ErrorKind::StorageFull), full);
        let quota = printed(io::ErrorKind::QuotaExceeded);
        assert_eq!(quota, format!("{full}: quota exceeded"));
    }
}
