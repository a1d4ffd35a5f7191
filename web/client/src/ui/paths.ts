// Where things are, below /app.

export const paths = {
  home: '/',
  top: '/top',
  logIn: '/log-in',
  signUp: '/sign-up',
  search: (query = '') => (query ? `/search?q=${encodeURIComponent(query)}` : '/search'),
  user: (username: string) => `/user/${encodeURIComponent(username)}`,
  tweet: (id: string) => `/tweet/${encodeURIComponent(id)}`,
  reply: (id: string) => `/tweet/${encodeURIComponent(id)}?reply`,
};
