import type { DirectusWriter } from "./directus.ts";
import type { UserName } from "./environment.ts";

/** Every page of the demo, with what its visitors see first. */
export const pages: {
  name: string;
  path: string | ((directus: DirectusWriter) => Promise<string>);
  heading: string | RegExp;
  user?: UserName;
  /** Nothing on it is live. */
  needsNoSocket?: true;
}[] = [
  { name: "front", path: "/", heading: /\S/ },
  {
    name: "post",
    path: async (directus) => {
      const post = await directus.createPost({
        title: "A story with everything",
        body: "The first paragraph of a story that a test wrote.\n\nThe second one is a little longer, so that lines have a reason to break somewhere.",
        tags: ["culture", "test"],
      });
      await directus.create("comments", { post: post.id, author_name: "A reader", text: "Well said." });
      return `/posts/${post.id}`;
    },
    heading: "A story with everything",
  },
  { name: "board", path: "/board", heading: "Board" },
  { name: "board-editor", path: "/board", heading: "Board", user: "ada" },
  { name: "feed", path: "/feed", heading: "Feed" },
  {
    name: "explore",
    path: `/explore?collection=posts&query=${encodeURIComponent('{"fields":["id","title","status","tags"],"sort":["title"],"limit":8}')}`,
    heading: "Explore",
  },
  { name: "login", path: "/login", heading: "Log in", needsNoSocket: true },
  { name: "me-anonymous", path: "/me", heading: "You are not logged in" },
  { name: "me", path: "/me", heading: /Ada/, user: "ada" },
];

/** The page's address; a page that needs rows gets them. */
export const addressOf = async (page: (typeof pages)[number], directus: DirectusWriter) =>
  typeof page.path === "string" ? page.path : page.path(directus);
