//! "Did you mean": the known word that a wrong one most likely stands for.

/// Words of other products, and what they are called here.
const FOREIGN: &[(&str, &str)] = &[
    ("access_log", "accessLog"),
    ("backend", "upstream"),
    ("cooldown", "stabilization"),
    ("error_log", "errorLog"),
    ("instances", "endpoints"),
    ("lb", "balance"),
    ("listen", "listeners"),
    ("loadBalancing", "balance"),
    ("location", "routes"),
    ("locations", "routes"),
    ("maxReplicas", "max"),
    ("minReplicas", "min"),
    ("nodes", "endpoints"),
    ("periodSeconds", "period"),
    ("pods", "instances"),
    ("policies", "limits"),
    ("prefix", "path"),
    ("proxy_pass", "upstream"),
    ("readinessProbe", "ready"),
    ("scaleDown", "scaleIn"),
    ("scaleUp", "scaleOut"),
    ("servers", "endpoints"),
    ("server_name", "hosts"),
    ("service", "upstream"),
    ("services", "upstreams"),
    ("stabilizationWindowSeconds", "stabilization"),
    ("targets", "endpoints"),
    ("terminationGracePeriodSeconds", "grace"),
    ("uri", "path"),
    ("worker_processes", "workers"),
];

/// Longest word that is compared: names have up to 63 bytes.
const MAX_LENGTH: usize = 64;

/// Most known words that are listed.
const MAX_LISTED: usize = 12;

pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(key) = directive(word, &known) {
        return Some(key);
    }
    let here = FOREIGN.iter().find(|(foreign, _)| *foreign == word).map(|(_, here)| *here);
    let lower = word.to_lowercase();
    let distance = |candidate: &str| match here {
        Some(here) if here == candidate => 0,
        _ => strsim::osa_distance(&lower, &candidate.to_lowercase()),
    };
    let (distance, best) = known.into_iter().map(|known| (distance(known), known)).min_by_key(|&(d, _)| d)?;
    (distance <= (lower.len() / 3).max(1)).then_some(best)
}

/// What a directive of lua-nginx-module is called here: `content_by_lua_block` is `content`, `lua_shared_dict` is `sharedDicts`,
/// where these are known, and `lua` where what has them is.
fn directive<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let bare = word.strip_suffix("_block").or_else(|| word.strip_suffix("_file")).unwrap_or(word);
    let own = bare.strip_suffix("_by_lua").or_else(|| bare.strip_prefix("lua_"))?;
    let own: String = own.split('_').collect();
    let is_own = |key: &str| {
        let key = key.to_lowercase();
        key == own || key.strip_suffix('s') == Some(&own)
    };
    known.iter().copied().find(|key| is_own(key)).or_else(|| known.iter().copied().find(|key| *key == "lua"))
}

/// `; did you mean …?`, or nothing.
pub(crate) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}

/// The first few of `known`, for a help text.
pub(crate) fn list<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known = known.into_iter();
    let mut words: Vec<_> = known.by_ref().take(MAX_LISTED).map(|word| format!("`{word}`")).collect();
    if known.next().is_some() {
        words.push("…".into());
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_of_openresty_lead_to_keys() {
        let check = |word, known: &[&'static str]| nearest(word, known.iter().copied());
        let lua = ["content", "headerFilter", "sharedDicts", "packagePath", "codeCache"];
        assert_eq!(check("content_by_lua_block", &lua), Some("content"));
        assert_eq!(check("header_filter_by_lua_file", &lua), Some("headerFilter"));
        assert_eq!(check("lua_shared_dict", &lua), Some("sharedDicts"));
        assert_eq!(check("lua_code_cache", &lua), Some("codeCache"));
        assert_eq!(check("content_by_lua", &["match", "lua"]), Some("lua"));
        assert_eq!(check("lua_nothing", &["match"]), None);
        assert_eq!(check("proxy_pass", &["match", "upstream"]), Some("upstream"));
    }

    #[test]
    fn typing_errors_case_and_foreign_words_are_recognized() {
        let keys = ["name", "match", "upstream", "lua", "min", "max", "keepAlive"];
        let nearest = |word| nearest(word, keys);
        assert_eq!(nearest("upstram"), Some("upstream"));
        assert_eq!(nearest("mtach"), Some("match"));
        assert_eq!(nearest("keep_alive"), Some("keepAlive"));
        assert_eq!(nearest("KEEPALIVE"), Some("keepAlive"));
        assert_eq!(nearest("minReplicas"), Some("min"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest(&"upstream".repeat(9)), None);
    }

    #[test]
    fn a_foreign_word_is_no_help_where_its_translation_is_unknown() {
        assert_eq!(nearest("minReplicas", ["name"]), None);
    }
}
