use super::*;

const NOW: Timestamp = Timestamp::from_secs(100);

#[test]
fn a_value_too_large_for_the_dictionary_changes_nothing() {
    let mut store = Store::new(2 * ENTRY_BYTES);
    let entry = |value: &[u8]| Entry { value: Value::String(value.into()), flags: 0, expires: None };
    store.store(b"a", entry(b"1"), Condition::Always, Room::Evict, NOW).unwrap();
    let large = store.store(b"a", entry(&[0; 300]), Condition::Always, Room::Evict, NOW);
    assert_eq!(large, Err(Error::NoMemory));
    assert_eq!(store.get(b"a", NOW), Some(&entry(b"1")));
}
