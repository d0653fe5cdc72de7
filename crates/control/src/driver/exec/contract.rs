//! What the user's commands are told, and what they answer: JSON.
//!
//! A field that is not known here is passed over, so that a command may say more than it is asked for.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};
use tidegate_core::{FleetId, InstanceId, OwnerId, SettingName};

/// Counts up when a command that understood the last version would misunderstand this one.
pub(super) const VERSION: u32 = 1;

/// One object on standard input.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order<'a> {
    pub(super) version: u32,
    pub(super) owner: &'a OwnerId,
    pub(super) fleet: &'a FleetId,
    #[serde(flatten)]
    pub(super) action: Action<'a>,
}

/// What is to be done.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Action<'a> {
    Start {
        instance: &'a InstanceId,
        /// Tells instances apart that were started with other settings.
        revision: &'a str,
        settings: &'a BTreeMap<SettingName, String>,
        /// Which kind of capacity to take it from, where there are several.
        pool: Option<&'a str>,
    },
    Stop {
        instance: &'a InstanceId,
    },
    List,
}

/// What `start` answers. Nothing at all is fine, too: then the list says where the instance is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Started {
    pub(super) endpoint: Option<SocketAddr>,
}

/// What `list` answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    pub(super) instances: Vec<Entry>,
}

/// One instance of a list, of whomever it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    instance: String,
    owner: String,
    fleet: String,
    #[serde(default)]
    endpoint: Option<SocketAddr>,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    pool: Option<String>,
    /// It will be taken away before long.
    #[serde(default)]
    leaving: bool,
}

/// One instance of ours, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: InstanceId,
    pub(crate) endpoint: Option<SocketAddr>,
    /// What it was started with; `None`: the list does not say.
    pub(crate) revision: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) leaving: bool,
}

impl List {
    /// The instances of `owner` in `fleet`; what belongs to others, or has no name that we gave, is left alone.
    pub(super) fn of(self, owner: &OwnerId, fleet: &FleetId) -> BTreeMap<InstanceId, Listed> {
        let ours = |entry: &Entry| entry.owner == owner.as_str() && entry.fleet == fleet.as_str();
        let listed = |entry: Entry| {
            let id = InstanceId::new(&entry.instance).ok()?;
            let Entry { endpoint, revision, pool, leaving, .. } = entry;
            Some((id.clone(), Listed { id, endpoint, revision, pool, leaving }))
        };
        self.instances.into_iter().filter(ours).filter_map(listed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> OwnerId {
        OwnerId::new("us").unwrap()
    }

    fn fleet() -> FleetId {
        FleetId::new("f").unwrap()
    }

    fn order(action: Action<'_>) -> String {
        let (owner, fleet) = (owner(), fleet());
        serde_json::to_string(&Order { version: VERSION, owner: &owner, fleet: &fleet, action }).unwrap()
    }

    #[test]
    fn orders_keep_their_form() {
        let instance = &InstanceId::new("f-1").unwrap();
        let settings = BTreeMap::from([(SettingName::new("image").unwrap(), "a:1".to_owned())]);
        let start = Action::Start { instance, revision: "c0ffee", settings: &settings, pool: None };
        assert_eq!(
            order(start),
            r#"{"version":1,"owner":"us","fleet":"f","action":"start","instance":"f-1","revision":"c0ffee","settings":{"image":"a:1"},"pool":null}"#
        );
        assert_eq!(
            order(Action::Stop { instance }),
            r#"{"version":1,"owner":"us","fleet":"f","action":"stop","instance":"f-1"}"#
        );
        assert_eq!(order(Action::List), r#"{"version":1,"owner":"us","fleet":"f","action":"list"}"#);
    }

    #[test]
    fn what_is_not_ours_is_not_seen() {
        let list: List = serde_json::from_str(
            r#"{"instances": [
                {"instance": "f-1", "owner": "us", "fleet": "f", "endpoint": "10.0.0.1:80", "zone": "b"},
                {"instance": "f-2", "owner": "them", "fleet": "f"},
                {"instance": "g-1", "owner": "us", "fleet": "g"},
                {"instance": "no name", "owner": "us", "fleet": "f"}
            ]}"#,
        )
        .unwrap();
        let listed = list.of(&owner(), &fleet());
        let [(_, only)] = listed.into_iter().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((only.id.as_str(), only.endpoint), ("f-1", "10.0.0.1:80".parse().ok()));
        assert_eq!((only.revision, only.pool, only.leaving), (None, None, false));
    }
}
