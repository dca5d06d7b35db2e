//! The queries that are kept live in the model: one of each awkward kind.

use leptos_directus::{Filter, Key, Query};

use super::database::Collection::{self, Articles, Authors, Notes, Tags};

#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) collection: Collection,
    /// As it is sent.
    pub(crate) query: Query,
    pub(crate) only_key: Option<Key>,
    pub(crate) watches_authors: bool,
    /// Nobody asked for them: it is found out, before or later, that the query leads to them.
    pub(crate) finds_authors: bool,
    /// Seconds.
    pub(crate) revalidate: Option<u64>,
    pub(crate) about: &'static str,
}

pub(crate) const SHAPES: u8 = 39;

pub(crate) fn shape(number: u8) -> Shape {
    let plain = |collection: Collection| {
        Query::new().fields([collection.key_field(), "title", "rank", "day", "flag", "author", "v"])
    };
    let related = Query::new().fields(["id", "title", "flag", "author.id", "author.title", "author.v", "v"]);
    let flagged = || Filter::field("flag").eq(true);
    let mut watches_authors = false;
    let mut finds_authors = false;
    let mut revalidate = None;
    let mut only_key = None;
    let (about, collection, query) = match number {
        0 => ("all articles, unsorted", Articles, plain(Articles)),
        1 => ("articles by title", Articles, plain(Articles).sort("title")),
        2 => ("articles by -rank and title, 3", Articles, plain(Articles).sort(["-rank", "title"]).limit(3)),
        3 => ("flagged articles by rank", Articles, plain(Articles).filter(flagged()).sort("rank")),
        4 => {
            let filter = Filter::field("rank").gt(2).or(Filter::field("rank").null());
            ("articles of a rank > 2 or none by -day", Articles, plain(Articles).filter(filter).sort("-day"))
        }
        5 => ("articles 2 and 3 by title", Articles, plain(Articles).sort("title").limit(2).offset(1)),
        6 => ("articles by rank, page 2 of 2 rows", Articles, plain(Articles).sort("rank").limit(2).page(2)),
        7 => {
            watches_authors = true;
            ("articles by author, who are watched", Articles, related.sort("author.title"))
        }
        8 => {
            watches_authors = true;
            let filter = Filter::field("author.title").contains("e");
            ("articles of authors with an e, who are watched", Articles, related.filter(filter).sort("-rank").limit(3))
        }
        9 => ("articles found by a", Articles, plain(Articles).search("a").sort("-title")),
        10 => {
            let query = plain(Articles).filter(flagged()).sort("title").limit(2).meta("*");
            ("2 flagged articles by title, counted", Articles, query)
        }
        11 => ("how many articles", Articles, Query::new().aggregate("count", "*")),
        12 => ("how many articles by flag", Articles, Query::new().aggregate("count", "*").group_by("flag")),
        13 => {
            only_key = Some(Key::from(11));
            ("the article 11", Articles, plain(Articles).filter(Filter::field("id").eq(11)))
        }
        14 => ("all tags, in the order of their sort field", Tags, plain(Tags)),
        15 => ("2 tags by title", Tags, plain(Tags).sort("title").limit(2)),
        16 => ("tags with an e by rank", Tags, plain(Tags).filter(Filter::field("title").contains("e")).sort("rank")),
        17 => ("all notes by -rank", Notes, plain(Notes).sort("-rank")),
        18 => ("3 flagged notes by -day", Notes, plain(Notes).filter(flagged()).sort("-day").limit(3)),
        19 => {
            revalidate = Some(10);
            ("notes by title, every 10 s", Notes, plain(Notes).sort("title"))
        }
        20 => {
            revalidate = Some(10);
            ("articles with author, every 10 s", Articles, related.sort("id"))
        }
        21 => ("authors by title", Authors, plain(Authors).sort("title")),
        23 => ("8 articles by -rank", Articles, plain(Articles).sort("-rank").limit(8)),
        24 => ("articles 3 to 10 by rank", Articles, plain(Articles).sort("rank").limit(8).offset(2)),
        25 => ("9 flagged articles by rank", Articles, plain(Articles).filter(flagged()).sort("rank").limit(9)),
        26 => ("8 articles by -day and rank", Articles, plain(Articles).sort(["-day", "rank"]).limit(8)),
        27 => ("articles by flag and -id", Articles, plain(Articles).sort(["flag", "-id"])),
        28 => ("8 notes by day", Notes, plain(Notes).sort("day").limit(8)),
        29 => ("8 articles by title", Articles, plain(Articles).sort("title").limit(8)),
        30 => ("8 tags by -rank", Tags, plain(Tags).sort("-rank").limit(8)),
        31 => {
            let filter = Filter::field("rank").lt(3);
            ("flagged articles of a rank < 3 by -rank", Articles, plain(Articles).filter(filter).sort("-rank"))
        }
        32 => {
            let query = Query::new().fields(["id", "rank", "children", "v"]).sort("-rank");
            ("articles by -rank with their children", Articles, query)
        }
        33 => ("notes by day and -rank", Notes, plain(Notes).sort(["day", "-rank"])),
        34 => {
            finds_authors = true;
            ("articles by author, who are found", Articles, related.sort("author.title"))
        }
        35 => {
            finds_authors = true;
            let filter = Filter::field("author.title").contains("e");
            ("articles of authors with an e, who are found", Articles, related.filter(filter).sort("-rank").limit(3))
        }
        36 => {
            finds_authors = true;
            ("articles with author by -rank, who are found", Articles, related.fields("rank").sort("-rank"))
        }
        37 => {
            finds_authors = true;
            ("8 articles with author by day, who are found", Articles, related.fields("day").sort("day").limit(8))
        }
        22 => ("3 articles by year", Articles, plain(Articles).sort("year(day)").limit(3)),
        _ => ("3 articles by -id", Articles, plain(Articles).sort("-id").limit(3)),
    };
    let query = query.for_reading(collection.key_field());
    Shape { collection, query, only_key, watches_authors, finds_authors, revalidate, about }
}

impl Shape {
    /// Whether its rows hold something of the authors.
    pub(crate) fn relates(&self) -> bool {
        self.query.relations().contains("author")
    }

    pub(crate) fn watch(&self) -> Vec<Collection> {
        if self.watches_authors { vec![Authors] } else { Vec::new() }
    }
}
