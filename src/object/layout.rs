//! [`ObjectLayout`]: maps keys to the objects of their blocks. No requests.

use object_store::path::Path;

use crate::error::{Error, Result};
use crate::format::{BlockKey, SHARDING, Shard};
use crate::key::Key;

/// Names of objects have at most 1,024 bytes in S3 and Google Cloud Storage, and 1,024 characters in Azure.
const MAX_NAME_LEN: usize = 1024;

/// Where the objects of a datastore are in a bucket.
#[derive(Clone, Debug)]
pub(super) struct ObjectLayout {
    root: Path,
    shard: Option<Shard>,
    /// Whether the objects are files.
    has_files: bool,
}

impl ObjectLayout {
    pub(super) fn new(root: Path, shard: Option<Shard>) -> Self {
        ObjectLayout {
            root,
            shard,
            has_files: false,
        }
    }

    /// Sets whether the objects are files, which cannot have every name.
    pub(super) fn with_files(self, has_files: bool) -> Self {
        ObjectLayout { has_files, ..self }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Returns the object that has the name of the shard function, if there is one.
    pub(super) fn marker(root: &Path) -> Path {
        root.clone().join(SHARDING)
    }

    /// Returns the object of a key.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidKey`] with the rule that the key breaks.
    pub(super) fn path(&self, key: &Key) -> Result<Path> {
        let invalid = |reason| Error::InvalidKey {
            key: key.to_string(),
            reason,
        };
        let name = match self.shard {
            None if key.is_root() || is_marker(key) => {
                return Err(invalid("an object store has no block with this key"));
            }
            None => format!("{}{key}", self.root),
            Some(shard) => {
                let block = BlockKey::new(key)?;
                let name = block.name();
                format!("{}/{}/{name}", self.root, shard.dir_of(name))
            }
        };
        if name.len() > MAX_NAME_LEN {
            return Err(invalid("the name of an object has at most 1,024 bytes"));
        }
        if self.has_files && !is_file_name(key) {
            let rule = "the name of a file can have at most 250 bytes and must not end with # and a number";
            return Err(invalid(rule));
        }
        Path::parse(name)
            .map_err(|_| invalid("the name of an object contains no ASCII control characters"))
    }

    /// Returns the key of an object, or `None` for an object that is not a block of this datastore.
    pub(super) fn key(&self, object: &Path) -> Option<Key> {
        let root = self.root.as_ref();
        let name = match object.as_ref().strip_prefix(root)? {
            below if root.is_empty() => below,
            below => below.strip_prefix('/')?,
        };
        let Some(shard) = self.shard else {
            let key = Key::new(format!("/{name}"));
            return (!key.is_root() && !is_marker(&key)).then_some(key);
        };
        let (dir, name) = name.split_once('/')?;
        let block = BlockKey::new(&Key::new(format!("/{name}"))).ok()?;
        (shard.dir_of(name) == dir).then(|| block.into_key())
    }

    /// Returns the prefix below which the objects of all keys below `prefix` are, or `None` if there can be none.
    pub(super) fn prefix(&self, prefix: &Key) -> Option<Path> {
        if prefix.is_root() {
            Some(self.root.clone())
        } else if self.shard.is_some() {
            None
        } else {
            Path::parse(format!("{}{prefix}", self.root)).ok()
        }
    }
}

/// Returns whether a file can have the name of the key. The client for files writes `KEY#1`, and renames it to `KEY`.
fn is_file_name(key: &Key) -> bool {
    let parts = || key.as_str().split('/');
    let last = parts().next_back().unwrap_or("");
    let is_temp = last.split_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    // With a temp file's number.
    !is_temp && parts().all(|part| part.len() <= 250)
}

fn is_marker(key: &Key) -> bool {
    key.as_str().strip_prefix('/') == Some(SHARDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &str, shard: Option<&str>) -> ObjectLayout {
        let shard = shard.map(|shard| shard.parse().unwrap());
        ObjectLayout::new(Path::parse(root).unwrap(), shard)
    }

    /// The names are what `path.Join(RootDirectory, key)` of go-ds-s3 gives, which the S3 client sends without a
    /// leading slash.
    #[test]
    fn the_names_of_objects_are_those_of_go_ds_s3() {
        for (root, key, name) in [
            ("", "/CIQX", "CIQX"),
            ("blocks", "/CIQX", "blocks/CIQX"),
            ("/a/b/", "/local/filesroot", "a/b/local/filesroot"),
            ("", "/a %2F#ü", "a %2F#ü"),
        ] {
            let layout = layout(root, None);
            let path = layout.path(&Key::new(key)).unwrap();
            assert_eq!(path.as_ref(), name);
            assert_eq!(layout.key(&path), Some(Key::new(key)));
        }
    }

    #[test]
    fn a_shard_function_puts_blocks_below_prefixes() {
        let layout = layout("blocks", Some("next-to-last/2"));
        let key = Key::new("CIQABC");
        let path = layout.path(&key).unwrap();
        assert_eq!(path.as_ref(), "blocks/AB/CIQABC");
        assert_eq!(layout.key(&path), Some(key));
        for foreign in ["blocks/XX/CIQABC", "blocks/CIQABC", "blocks/AB/CIQABC/D"] {
            assert_eq!(
                layout.key(&Path::parse(foreign).unwrap()),
                None,
                "{foreign}"
            );
        }
    }

    #[test]
    fn objects_beside_the_prefix_have_no_key() {
        let layout = layout("blocks", None);
        for foreign in ["blocks", "blocks2/X", "other/X", "blocks/SHARDING"] {
            assert_eq!(
                layout.key(&Path::parse(foreign).unwrap()),
                None,
                "{foreign}"
            );
        }
    }

    #[test]
    fn keys_that_no_file_can_have_are_invalid_in_a_directory() {
        let layout = layout("blocks", None);
        let files = layout.clone().with_files(true);
        let long = "A".repeat(251);
        for key in ["/A#1", "/a/B#23", &long] {
            assert!(layout.path(&Key::new(key)).is_ok(), "{key}");
            let error = files.path(&Key::new(key)).unwrap_err();
            assert!(matches!(error, Error::InvalidKey { .. }), "{key}");
        }
        for key in ["/A#", "/A#x", "/A#1/b", "/A#1#2"] {
            assert!(files.path(&Key::new(key)).is_ok(), "{key}");
        }
    }

    #[test]
    fn keys_that_no_object_can_have_are_invalid() {
        let long = "A".repeat(1025);
        for key in ["/", "/SHARDING", "/a\nb", &long] {
            let error = layout("", None).path(&Key::new(key)).unwrap_err();
            assert!(matches!(error, Error::InvalidKey { .. }), "{key:?}");
        }
        let sharded = layout("", Some("prefix/2"));
        assert!(sharded.path(&Key::new("/a/b")).is_err());
        assert!(sharded.path(&Key::new("/SHARDING")).is_ok());
    }
}
