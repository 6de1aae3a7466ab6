//! [`paths`]: the module paths that a Rust source file mentions, outside comments, literals and test code.

/// A path such as `crate::disk::Kind`, split at `::`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsedPath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// The name under which a `use` item imports the path; none outside such an item.
    pub(super) imported_as: Option<String>,
}

/// The parts of a file that matter here.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) paths: Vec<UsedPath>,
    /// The modules in files of their own that are compiled for tests or documentation alone.
    pub(super) test_modules: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

/// Returns the paths that begin with `crate`, `self` or `super`.
pub(super) fn paths(source: &str) -> Uses {
    let mut uses = Uses::default();
    let tokens = tokens(source);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let texts = |from: usize| tokens[from..].iter().map(|token| token.text.as_str());
        if texts(at).take(2).eq(["#", "["]) {
            let end = closing(&tokens, at + 1);
            let attribute: String = texts(at).take(end - at).collect();
            at = end;
            if is_for_tests_or_docs(&attribute) {
                let item_end = item_end(&tokens, at);
                let item: Vec<&str> = texts(at).take(item_end - at).collect();
                if let [.., "mod", name, ";"] = item[..] {
                    uses.test_modules.push(name.to_owned());
                }
                at = item_end;
            }
        } else if token.text == "use" {
            let end = at + texts(at).take_while(|text| *text != ";").count();
            use_tree(&tokens[at + 1..end], &[], &mut uses.paths);
            at = end;
        } else if is_root(&token.text)
            && texts(at + 1).next() == Some("::")
            && (at == 0 || tokens[at - 1].text != "::")
        {
            let (segments, end) = segments(&tokens, at);
            if !(segments.len() == 1 && texts(end).next() == Some("!")) {
                uses.paths.push(UsedPath {
                    line: token.line,
                    segments,
                    imported_as: None,
                });
            }
            at = end;
        } else {
            at += 1;
        }
    }
    uses
}

fn is_root(text: &str) -> bool {
    matches!(text, "crate" | "self" | "super")
}

fn is_for_tests_or_docs(attribute: &str) -> bool {
    let attribute = attribute.strip_prefix("#[cfg(");
    attribute.is_some_and(|predicate| {
        ["test", "doc", "all(test", "all(doc", "any(doc", "any(test"]
            .iter()
            .any(|prefix| {
                predicate.starts_with(&format!("{prefix})"))
                    || predicate.starts_with(&format!("{prefix},"))
            })
    })
}

/// Adds the paths of the tree of a `use` item.
fn use_tree(tree: &[Token], prefix: &[String], paths: &mut Vec<UsedPath>) {
    let (mut segments, end) = segments(tree, 0);
    let mut path = prefix.to_vec();
    if tree.get(end).is_some_and(|token| token.text == "{") {
        path.append(&mut segments);
        let inner = &tree[end + 1..closing(tree, end) - 1];
        let mut start = 0;
        while start < inner.len() {
            let mut stop = start;
            while inner.get(stop).is_some_and(|token| token.text != ",") {
                stop = match inner[stop].text.as_str() {
                    "{" => closing(inner, stop),
                    _ => stop + 1,
                };
            }
            use_tree(&inner[start..stop], &path, paths);
            start = stop + 1;
        }
        return;
    }
    let Some(first) = tree.first() else { return };
    let renamed = tree
        .get(end + 1)
        .filter(|_| tree[end..].first().is_some_and(|token| token.text == "as"));
    if segments == ["self"] && !path.is_empty() {
        segments.clear();
    }
    path.append(&mut segments);
    let name = renamed
        .map(|token| token.text.clone())
        .or_else(|| path.last().cloned());
    if path.first().is_some_and(|root| is_root(root)) {
        paths.push(UsedPath {
            line: first.line,
            segments: path,
            imported_as: name,
        });
    }
}

/// Returns the segments of a path that begins here, and the index after it.
fn segments(tokens: &[Token], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    while let Some(token) = tokens.get(at) {
        if !(is_word(&token.text) || token.text == "*") {
            break;
        }
        segments.push(token.text.clone());
        at += 1;
        match tokens.get(at) {
            Some(token) if token.text == "::" => at += 1,
            _ => break,
        }
    }
    (segments, at)
}

/// Returns the index after the bracket that closes the one at `at`.
fn closing(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// Returns the index after the item that begins at `at`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let is_field = !tokens[at..]
        .iter()
        .take_while(|token| !matches!(token.text.as_str(), "{" | ";" | ","))
        .any(|token| {
            matches!(
                token.text.as_str(),
                "fn" | "impl" | "struct" | "enum" | "trait" | "mod" | "use" | "type"
            )
        });
    while let Some(token) = tokens.get(at) {
        at = match token.text.as_str() {
            ";" => return at + 1,
            "," if is_field => return at + 1,
            "{" => return closing(tokens, at),
            "[" | "(" => closing(tokens, at),
            _ => at + 1,
        };
    }
    at
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Splits a source file into words and symbols, without comments and literals of text.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_len(rest, first);
        let len = skipped.unwrap_or_else(|| match first {
            _ if is_word(rest) => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                end.unwrap_or(rest.len())
            }
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        });
        let (text, behind) = rest.split_at(len);
        if skipped.is_none() {
            let text = text.to_owned();
            tokens.push(Token { line, text });
        }
        line += text.matches('\n').count();
        rest = behind;
    }
    tokens
}

/// Returns the length of the space, comment or literal at the start; none if a word or symbol is there.
fn skipped_len(text: &str, first: char) -> Option<usize> {
    match first {
        '/' if text.starts_with("//") => Some(text.find('\n').unwrap_or(text.len())),
        '/' if text.starts_with("/*") => Some(text.find("*/").map_or(text.len(), |at| at + 2)),
        'r' | 'b' | '"' | '\'' => literal_len(text),
        _ => first.is_whitespace().then(|| first.len_utf8()),
    }
}

/// Returns the length of the literal of text or of one character at the start; none if there is no such
/// literal.
fn literal_len(text: &str) -> Option<usize> {
    let prefix = text
        .find(|c| !matches!(c, 'b' | 'r'))
        .filter(|len| *len <= 2)?;
    let is_raw = text[..prefix].contains('r');
    let after = &text[prefix..];
    if is_raw {
        let hashes = after.find(|c| c != '#')?;
        let end = format!("\"{}", &after[..hashes]);
        let opening = prefix + hashes + 1;
        return after[hashes..].starts_with('"').then(|| {
            text[opening..]
                .find(&end)
                .map_or(text.len(), |at| opening + at + end.len())
        });
    }
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut chars = after.char_indices().skip(1);
    if quote == '\'' {
        // Otherwise it is a lifetime.
        let mut ahead = after.chars().skip(1);
        let (first, second) = (ahead.next()?, ahead.next()?);
        if first != '\\' && second != '\'' {
            return None;
        }
    }
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(prefix + at + 1);
        }
    }
    Some(text.len())
}
