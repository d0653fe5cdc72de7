//! "Did you mean": the known word that a wrong one most likely stands for.

/// Words of other products, and what they are called here.
const FOREIGN: &[(&str, &str)] = &[
    ("backend", "upstream"),
    ("cooldown", "stabilization"),
    ("instances", "endpoints"),
    ("lb", "balance"),
    ("listen", "listeners"),
    ("loadBalancing", "balance"),
    ("maxReplicas", "max"),
    ("minReplicas", "min"),
    ("nodes", "endpoints"),
    ("periodSeconds", "period"),
    ("pods", "instances"),
    ("policies", "limits"),
    ("prefix", "path"),
    ("readinessProbe", "ready"),
    ("scaleDown", "scaleIn"),
    ("scaleUp", "scaleOut"),
    ("servers", "endpoints"),
    ("service", "upstream"),
    ("services", "upstreams"),
    ("stabilizationWindowSeconds", "stabilization"),
    ("targets", "endpoints"),
    ("terminationGracePeriodSeconds", "grace"),
    ("uri", "path"),
];

/// Longest word that is compared: names have up to 63 bytes.
const MAX_LENGTH: usize = 64;

/// Most known words that are listed.
const MAX_LISTED: usize = 12;

pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
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
