// The query's side of chinese_search.py: Han runs become bigrams, a single character stays.
const HAN_RUN = /^[\u3400-\u9fff]+$/;

function queryRuns(query) {
  return query.match(/[\u3400-\u9fff]+|[^\s\u3400-\u9fff]+/gu) || [];
}

function splitQuery(query) {
  return queryRuns(query).flatMap((run) => {
    if (!HAN_RUN.test(run)) return run.match(/[\p{Letter}\p{Number}_\p{Emoji_Presentation}]+/gu) || [];
    if (run.length === 1) return [run];
    return Array.from({ length: run.length - 1 }, (_, i) => run.slice(i, i + 2));
  });
}

// A page is a result when it has every term of the query. The stock search would let short terms
// be missing, and every bigram is short. What is highlighted are the runs as they were typed.
(function () {
  const parseQuery = Search._parseQuery;
  Search._parseQuery = (query) => {
    const [text, terms, excluded, , objects] = parseQuery(query);
    const runs = new Set(queryRuns(query.trim().toLowerCase()));
    if (SPHINX_HIGHLIGHT_ENABLED) localStorage.setItem("sphinx_highlight_terms", [...runs].join(" "));
    return [text, terms, excluded, runs, objects];
  };

  const performTermsSearch = Search.performTermsSearch;
  Search.performTermsSearch = (terms, excluded) => {
    const byTerm = [...terms].map((term) => performTermsSearch(new Set([term]), excluded));
    if (byTerm.length === 0) return [];
    return byTerm.reduce((found, results) => {
      const pages = new Map(results.map((result) => [result[0], result]));
      return found.filter((result) => pages.has(result[0]));
    });
  };
})();
