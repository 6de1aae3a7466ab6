//! [`Key`]: the name of a value in a datastore.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a value: a path of namespaces below `/`, as in go-datastore.
///
/// A key is always clean: it starts with `/`, has no empty namespace, no namespace `.` or `..`, and no `/` at the
/// end. Two keys are equal if their texts are equal. Keys are ordered by the bytes of their texts, as the
/// queries of go-datastore sort them. Cloning a key is cheap, because the clones share the text. With serde a key
/// is serialized as its text, and any text is cleaned when it is deserialized.
///
/// ```
/// use ds_flatfs::Key;
///
/// let key = Key::new("Comedy//MontyPython/Actor:JohnCleese/");
/// assert_eq!(key.as_str(), "/Comedy/MontyPython/Actor:JohnCleese");
/// assert_eq!(key.name(), "JohnCleese");
/// assert_eq!(key.parent(), Key::new("/Comedy/MontyPython"));
/// assert!(Key::new("/Comedy").is_ancestor_of(&key));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Key(Arc<str>);

impl Key {
    /// Makes a key from any text by cleaning it.
    ///
    /// ```
    /// # use ds_flatfs::Key;
    /// assert_eq!(Key::new("a/../b/./c//").as_str(), "/b/c");
    /// assert_eq!(Key::new("").as_str(), "/");
    /// ```
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if is_clean(text) {
            return Key(text.into());
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        Key(format!("/{}", parts.join("/")).into())
    }

    /// Returns the key with one namespace, which the caller knows to be clean.
    pub(crate) fn from_clean_namespace(name: &str) -> Self {
        // The text is built on the stack, so that each key of a listing of a million keys costs one allocation
        // instead of two.
        let mut buffer = [b'/'; 256];
        let text = buffer.get_mut(..=name.len()).and_then(|text| {
            let (_, below) = text.split_at_mut(1);
            below.copy_from_slice(name.as_bytes());
            str::from_utf8(text).ok()
        });
        let key = Key(text.map_or_else(|| ["/", name].concat().into(), Arc::from));
        debug_assert!(is_clean(key.as_str()), "{key} is not clean");
        key
    }

    /// Returns the key `/`, the ancestor of all others.
    #[must_use]
    pub fn root() -> Self {
        Key("/".into())
    }

    /// Makes a key from namespaces, and cleans it.
    #[must_use]
    pub fn from_namespaces<I>(namespaces: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut text = String::new();
        for namespace in namespaces {
            text.push('/');
            text.push_str(namespace.as_ref());
        }
        Key::new(text)
    }

    /// Returns the text of the key, which begins with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the key is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }

    /// Returns the namespaces from the top one down. `/` has none.
    pub fn namespaces(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.as_str().split('/').filter(|part| !part.is_empty())
    }

    /// Returns the key with its namespaces in reverse order.
    #[must_use]
    pub fn reverse(&self) -> Self {
        Key::from_namespaces(self.namespaces().rev())
    }

    /// Returns the last namespace: `Actor:JohnCleese` for `/Comedy/Actor:JohnCleese`, an empty string for `/`.
    #[must_use]
    pub fn base_namespace(&self) -> &str {
        self.namespaces().next_back().unwrap_or("")
    }

    /// Returns the part of the last namespace before its last `:`: `Actor` for `/Comedy/Actor:JohnCleese`, an
    /// empty string if there is no `:`. go-datastore calls it the type.
    #[must_use]
    pub fn kind(&self) -> &str {
        let base = self.base_namespace();
        base.rsplit_once(':').map_or("", |(kind, _)| kind)
    }

    /// Returns the part of the last namespace after its last `:`: `JohnCleese` for `/Comedy/Actor:JohnCleese`, the
    /// whole namespace if there is no `:`.
    #[must_use]
    pub fn name(&self) -> &str {
        let base = self.base_namespace();
        base.rsplit_once(':').map_or(base, |(_, name)| name)
    }

    /// Returns the key with `:` and `name` appended, and cleaned: `/Comedy/Actor:JohnCleese` for `/Comedy/Actor`
    /// and `JohnCleese`.
    #[must_use]
    pub fn instance(&self, name: &str) -> Self {
        Key::new(format!("{self}:{name}"))
    }

    /// Returns the parent with the [kind](Key::kind) appended, and cleaned: `/Comedy/Actor` for
    /// `/Comedy/Actor:JohnCleese`.
    #[must_use]
    pub fn path(&self) -> Self {
        Key::new(format!("{}/{}", self.parent(), self.kind()))
    }

    /// Returns the key without its last namespace. The parent of a top-level key and of `/` is `/`.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.as_str().rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => Key(parent.into()),
            _ => Key::root(),
        }
    }

    /// Returns the key `below` this one: `/a/b/c` for `/a` and `/b/c`.
    #[must_use]
    pub fn child(&self, below: &Key) -> Self {
        if self.is_root() {
            below.clone()
        } else if below.is_root() {
            self.clone()
        } else {
            Key(format!("{self}{below}").into())
        }
    }

    /// Removes `prefix` from the start of the key, the inverse of [`child`](Key::child). Returns `/` for `prefix`
    /// itself, and `None` if the key is neither `prefix` nor below it.
    ///
    /// ```
    /// # use ds_flatfs::Key;
    /// let blocks = Key::new("/blocks");
    /// assert_eq!(Key::new("/blocks/a/b").strip_prefix(&blocks), Some(Key::new("/a/b")));
    /// assert_eq!(Key::new("/blocks2").strip_prefix(&blocks), None);
    /// ```
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Key) -> Option<Self> {
        if prefix.is_root() {
            return Some(self.clone());
        }
        match self.as_str().strip_prefix(prefix.as_str())? {
            "" => Some(Key::root()),
            below if below.starts_with('/') => Some(Key(below.into())),
            _ => None,
        }
    }

    /// Returns whether `other` is below this key. A key is not its own ancestor.
    #[must_use]
    pub fn is_ancestor_of(&self, other: &Key) -> bool {
        if self.is_root() {
            return !other.is_root();
        }
        other
            .as_str()
            .strip_prefix(self.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns whether this key is below `other`.
    #[must_use]
    pub fn is_descendant_of(&self, other: &Key) -> bool {
        other.is_ancestor_of(self)
    }

    /// Returns whether the key has at most one namespace.
    #[must_use]
    pub fn is_top_level(&self) -> bool {
        self.namespaces().nth(1).is_none()
    }
}

fn is_clean(text: &str) -> bool {
    if text == "/" {
        return true;
    }
    text.strip_prefix('/')
        .is_some_and(|rest| !rest.split('/').any(|part| matches!(part, "" | "." | "..")))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.as_str())
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Key::new(text)
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Key::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.as_str().to_owned()
    }
}

/// Never fails, because any text can be cleaned to a key.
impl FromStr for Key {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Key::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_cleaned_to_a_rooted_path() {
        for (text, clean) in [
            ("", "/"),
            ("/", "/"),
            ("a", "/a"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("a//b", "/a/b"),
            ("///a///b///", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../a", "/a"),
            ("..", "/"),
            ("/a/b/../..", "/"),
            ("/...", "/..."),
            ("/a b/ü", "/a b/ü"),
        ] {
            assert_eq!(Key::new(text).as_str(), clean, "{text:?}");
            assert_eq!(Key::new(clean).as_str(), clean, "{clean:?} stays");
        }
    }

    #[test]
    fn kind_name_and_path_split_the_last_namespace_at_its_last_colon() {
        let key = Key::new("/Comedy/a:Actor:JohnCleese");
        assert_eq!(key.kind(), "a:Actor");
        assert_eq!(key.name(), "JohnCleese");
        assert_eq!(key.path(), Key::new("/Comedy/a:Actor"));
        assert_eq!(key.path().instance("JohnCleese"), key);
        let plain = Key::new("/Comedy/Actor");
        assert_eq!((plain.kind(), plain.name()), ("", "Actor"));
        assert_eq!(plain.path(), Key::new("/Comedy"));
    }

    /// The texts and results are those of go-datastore's `NewKey(text).Path()`, `.Instance("..")` and
    /// `.Reverse()`.
    #[test]
    fn a_kind_of_dots_is_cleaned_as_in_go_datastore() {
        for (text, path, instance, reverse) in [
            ("/a/..:x", "/", "/a/..:x:..", "/..:x/a"),
            ("/a/b/..:x", "/a", "/a/b/..:x:..", "/..:x/b/a"),
            ("/a/.:x", "/a", "/a/.:x:..", "/.:x/a"),
            ("/..:x", "/", "/..:x:..", "/..:x"),
            ("/a/:x", "/a", "/a/:x:..", "/:x/a"),
            ("/", "/", "/:..", "/"),
        ] {
            let key = Key::new(text);
            assert_eq!(key.path().as_str(), path, "path of {text}");
            assert_eq!(key.instance("..").as_str(), instance, "instance of {text}");
            assert_eq!(key.reverse().as_str(), reverse, "reverse of {text}");
        }
    }

    #[test]
    fn parent_and_child_are_inverse_below_the_root() {
        let key = Key::new("/a/b");
        assert_eq!(key.parent().child(&Key::new("b")), key);
        assert_eq!(Key::new("/a").parent(), Key::root());
        assert_eq!(Key::root().parent(), Key::root());
        assert_eq!(Key::root().child(&key), key);
        assert_eq!(key.child(&Key::root()), key);
    }

    #[test]
    fn a_prefix_is_removed_only_at_the_end_of_a_namespace() {
        let prefix = Key::new("/a");
        for below in ["/", "/b", "/b/c"].map(Key::new) {
            let stripped = prefix.child(&below).strip_prefix(&prefix);
            assert_eq!(stripped, Some(below.clone()), "{below}");
            assert_eq!(below.strip_prefix(&Key::root()), Some(below));
        }
        for elsewhere in ["/", "/ab", "/b/a"].map(Key::new) {
            assert_eq!(elsewhere.strip_prefix(&prefix), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_key_is_the_ancestor_only_of_keys_strictly_below_it() {
        let a = Key::new("/a");
        assert!(a.is_ancestor_of(&Key::new("/a/b/c")));
        assert!(Key::new("/a/b").is_descendant_of(&a));
        assert!(Key::root().is_ancestor_of(&a));
        for not_below in ["/a", "/ab", "/", "/b/a"] {
            assert!(!a.is_ancestor_of(&Key::new(not_below)), "{not_below}");
        }
        assert!(!Key::root().is_ancestor_of(&Key::root()));
    }

    #[test]
    fn namespaces_are_listed_from_the_top_and_can_be_reversed() {
        let key = Key::new("/a/b/c");
        assert_eq!(key.namespaces().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(key.reverse(), Key::new("/c/b/a"));
        assert_eq!(Key::from_namespaces(["a", "b", "c"]), key);
        assert_eq!(Key::root().namespaces().count(), 0);
        assert!(Key::new("/a").is_top_level() && Key::root().is_top_level());
        assert!(!key.is_top_level());
    }
}
