package archtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOurLicence(t *testing.T) {
	text := read(t, filepath.Join(root, "LICENSE"))
	for _, want := range []string{"Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"} {
		if !strings.Contains(text, want) {
			t.Errorf("LICENSE: no %q in it", want)
		}
	}
}

// permissive are phrases that identify licences which only require their text and notices to be
// kept.
var permissive = []string{
	"Permission is hereby granted, free of charge", // MIT
	"Redistribution and use in source and binary",  // BSD
	"Version 2.0, January 2004",                    // Apache
	"Permission to use, copy, modify, and",         // ISC
}

// Every linked module must be compatible with the Apache licence.
func TestLicencesOfWhatWeLink(t *testing.T) {
	out, err := output("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}", "./...")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{"": true, module: true}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if seen[path] {
			continue
		}
		seen[path] = true
		if !isPermissive(t, dir) {
			t.Errorf("%s: no permissive licence found in it; see to that before depending on it", path)
		}
	}
}

func isPermissive(t *testing.T, dir string) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text := strings.Join(strings.Fields(read(t, filepath.Join(dir, e.Name()))), " ")
		for _, phrase := range permissive {
			if strings.Contains(text, phrase) {
				return true
			}
		}
	}
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
