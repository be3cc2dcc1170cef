//! The lists of a server that can change while somebody listens.

/// A kind of list, as notifications tell of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Prompts.
    Prompts,
    /// Resources, and templates of resources.
    Resources,
    /// Tools.
    Tools,
}

impl ListKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Prompts, Self::Resources, Self::Tools];

    /// The notification of a change.
    #[must_use]
    pub const fn notification(self) -> &'static str {
        match self {
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Tools => "notifications/tools/list_changed",
        }
    }

    /// What asks for it in `subscriptions/listen`.
    #[must_use]
    pub const fn filter(self) -> &'static str {
        match self {
            Self::Prompts => "promptsListChanged",
            Self::Resources => "resourcesListChanged",
            Self::Tools => "toolsListChanged",
        }
    }

    /// The list whose change the notification `method` tells of.
    #[must_use]
    pub fn of_notification(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.notification() == method)
    }
}

/// One thing for each kind of list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerList<T> {
    prompts: T,
    resources: T,
    tools: T,
}

impl<T> PerList<T> {
    /// That of `kind`.
    #[must_use]
    pub const fn of(&self, kind: ListKind) -> &T {
        match kind {
            ListKind::Prompts => &self.prompts,
            ListKind::Resources => &self.resources,
            ListKind::Tools => &self.tools,
        }
    }

    /// That of `kind`.
    pub const fn of_mut(&mut self, kind: ListKind) -> &mut T {
        match kind {
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::Tools => &mut self.tools,
        }
    }
}

impl<T: Clone> PerList<T> {
    /// The same for each.
    #[must_use]
    pub fn all(one: T) -> Self {
        Self { prompts: one.clone(), resources: one.clone(), tools: one }
    }
}

impl PerList<bool> {
    /// The kinds that are in this set.
    pub fn kinds(self) -> impl Iterator<Item = ListKind> {
        ListKind::ALL.into_iter().filter(move |kind| *self.of(*kind))
    }
}
