package main_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func testStock(t *testing.T, c *client) {
	// Any text can be the id of a product that can be the id of a product in an order.
	odd := []string{"a/b", "%25", "%", "50%", "é € 漢字 𝄞", "a+b", "a b", "..", ".", "?x=1", "a#b", ";", ":id", "*", "a//b", strings.Repeat("é", 200)}
	for i, product := range odd {
		path, n := "/v1/stock/"+url.PathEscape(product), int64(i+1)
		want := stock{product, n, 0, 0, n}
		if product == "." || product == ".." {
			path = "/v1/stock/" + strings.ReplaceAll(product, ".", "%2E")
		}
		a := c.call(t, http.MethodPut, path, map[string]int64{"on_hand": n})
		if a.status != http.StatusOK || unmarshal[stock](t, a.body) != want {
			t.Errorf("PUT %s: %s, want %+v", path, a, want)
		}
		if got := c.call(t, http.MethodGet, path, nil); got.status != 200 || unmarshal[stock](t, got.body) != want {
			t.Errorf("GET %s: %s, want %+v", path, got, want)
		}
		o := goodOrder("customer-of-odd-things")
		o.Items = []item{{product, n, "1.00"}}
		if end := follow(t, c, place(t, c, o).OrderID); end.Status != "shipped" {
			t.Errorf("an order for %q ended as %+v", product, end)
		}
	}
	for _, path := range []string{"%00", "a%00b", "%ff", "%20", "%01", "a%0Ab", url.PathEscape(strings.Repeat("é", 201)), strings.Repeat("x", 5000)} {
		expectProblem(t, c.call(t, http.MethodPut, "/v1/stock/"+path, `{"on_hand": 1}`), 404, "")
		expectProblem(t, c.call(t, http.MethodGet, "/v1/stock/"+path, nil), 404, "")
	}
	for body, status := range map[string]int{
		`{}`: 422, `{"on_hand": null}`: 422, `{"on_hand": -1}`: 422, `{"on_hand": 1000000000001}`: 422, `null`: 422,
		`{"on_hand": 1.5}`: 400, `{"on_hand": "1"}`: 400, `{"on_hand": 9223372036854775808}`: 400, `{"on_hand": 1, "on_hand": 2}`: 400,
	} {
		expectProblem(t, c.call(t, http.MethodPut, "/v1/stock/wrong", body), status, "/on_hand")
	}
	expectProblem(t, c.call(t, http.MethodPut, "/v1/stock/wrong", `{"on_hand": 1, "reserved": 1}`), 400, "/reserved")
	expectProblem(t, c.call(t, http.MethodPut, "/v1/stock/wrong", `{`), 400, "")
	expectProblem(t, c.call(t, http.MethodPut, "/v1/stock/wrong", `{"on_hand": 1}`, "Content-Type: text/plain"), 415, "")
	expectProblem(t, c.call(t, http.MethodGet, "/v1/stock/wrong", nil), 404, "")

	testStockList(t, c)
}

type stockPage struct {
	Stock      []stock
	NextCursor string `json:"next_cursor"`
}

func testStockList(t *testing.T, c *client) {
	all := get[stockPage](t, c, "/v1/stock?limit=200").Stock
	var seen []stock
	for cursor := ""; ; {
		page := get[stockPage](t, c, "/v1/stock?limit=3&cursor="+cursor)
		seen = append(seen, page.Stock...)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(all) < 10 || !slices.Equal(seen, all) {
		t.Errorf("the walk saw %v, want %v", seen, all)
	}
	for query, parameter := range map[string]string{
		"limit=0": "limit", "limit=x": "limit", "cursor=!": "cursor", "cursor=%00": "cursor", "cursor=AA": "cursor", "cursor=_w": "cursor",
	} {
		expectProblem(t, c.call(t, http.MethodGet, "/v1/stock?"+query, nil), 400, parameter)
	}
}
