//! The rows that the pages read, and the queries that ask for them. Serde is all they need.

use leptos_directus::protocol::{Filter, Query, Variable};
use serde::{Deserialize, Serialize};

/// Where a post stands on its way to the front page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Being written.
    Draft,
    /// Waiting for a second pair of eyes.
    Review,
    /// On the front page.
    Published,
}

impl Stage {
    /// The lanes of the board, from left to right.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Review, Self::Published];

    /// The value in Directus.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Review => "review",
            Self::Published => "published",
        }
    }

    /// The name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Draft => "Draft",
            Self::Review => "Review",
            Self::Published => "Published",
        }
    }
}

/// The author of a post, as far as a byline needs it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Byline {
    /// The author's name.
    pub name: Option<String>,
}

/// A post, as the front page and its own page show it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Post {
    /// The key.
    pub id: i64,
    /// The headline.
    pub title: Option<String>,
    /// Plain text; an empty line parts two paragraphs.
    pub body: Option<String>,
    /// Who wrote it.
    pub author: Option<Byline>,
    /// When Directus made the row.
    pub date_created: Option<String>,
    /// When it went to the front page, where somebody said so.
    pub published_at: Option<String>,
    /// Free words; the first is the kicker.
    pub tags: Option<Vec<String>>,
}

impl Post {
    /// The headline, or what to show where there is none.
    #[must_use]
    pub fn headline(&self) -> String {
        self.title.clone().filter(|title| !title.is_empty()).unwrap_or_else(|| "Untitled".to_owned())
    }

    /// `By Ada Lovelace`, or nothing for a post without an author.
    #[must_use]
    pub fn byline(&self) -> String {
        let name = self.author.as_ref().and_then(|author| author.name.as_deref());
        name.map_or_else(String::new, |name| format!("By {name} · "))
    }

    /// The date that readers see.
    #[must_use]
    pub fn date(&self) -> String {
        self.published_at.clone().or_else(|| self.date_created.clone()).unwrap_or_default()
    }

    /// The first tag.
    #[must_use]
    pub fn kicker(&self) -> String {
        self.tags.as_ref().and_then(|tags| tags.first().cloned()).unwrap_or_else(|| "News".to_owned())
    }
}

/// What the front page shows: published posts, newest first.
pub fn published_posts() -> Query {
    Query::new().filter(Filter::field("status").eq(Stage::Published.as_str())).sort(["-date_created"]).limit(24)
}

/// A post on the board, and in the list of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Card {
    /// The key.
    pub id: i64,
    /// The headline.
    pub title: Option<String>,
    /// The lane.
    pub status: Stage,
}

impl Card {
    /// The headline, or what to show where there is none.
    #[must_use]
    pub fn headline(&self) -> String {
        self.title.clone().filter(|title| !title.is_empty()).unwrap_or_else(|| "Untitled".to_owned())
    }
}

/// The posts of one lane of the board, the last moved first.
pub fn posts_in(stage: Stage) -> Query {
    Query::new().filter(Filter::field("status").eq(stage.as_str())).sort(["-date_updated"]).limit(30)
}

/// A change of a post's lane.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Move {
    /// The new lane.
    pub status: Stage,
}

/// A reader's comment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// The key, a UUID.
    pub id: String,
    /// As the reader gave it.
    pub author_name: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// When Directus made the row.
    pub date_created: Option<String>,
}

/// The comments below a post, oldest first.
pub fn comments_of(post: i64) -> Query {
    Query::new().filter(Filter::field("post").eq(post)).sort(["date_created"])
}

/// A comment to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewComment {
    /// The post's key.
    pub post: i64,
    /// As the reader gave it.
    pub author_name: String,
    /// Plain text.
    pub text: String,
}

/// The line over the front page: a singleton in Directus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Masthead {
    /// The line.
    pub headline: Option<String>,
    /// Whether it is breaking news.
    pub breaking: Option<bool>,
}

/// An author. A collection of its own, tied to a user by the field `user`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Author {
    /// The key.
    pub id: i64,
    /// The name.
    pub name: Option<String>,
    /// A few words.
    pub bio: Option<String>,
}

/// The author records of whoever asks; for an anonymous visitor none at all.
pub fn my_authors() -> Query {
    Query::new()
        .filter(Filter::field("user").nnull().and(Filter::field("user").eq(Variable::current_user())))
        .sort(["name"])
}

/// The posts of whoever asks; for an anonymous visitor none at all.
pub fn my_posts() -> Query {
    Query::new()
        .filter(Filter::field("author.user").nnull().and(Filter::field("author.user").eq(Variable::current_user())))
        .sort(["-date_created"])
        .limit(50)
}
