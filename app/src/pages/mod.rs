//! One page per capability.

mod board;
mod explore;
mod feed;
mod front;
mod login;
mod me;
mod not_found;
mod post;

pub use board::BoardPage;
pub use explore::ExplorePage;
pub use feed::FeedPage;
pub use front::FrontPage;
pub use login::LoginPage;
pub use me::MePage;
pub use not_found::NotFoundPage;
pub use post::PostPage;
