#!/bin/sh
# Write a report as a comment on a pull request, or renew the comment of an earlier run.
#
#     GH_TOKEN=... GITHUB_REPOSITORY=owner/name sh comment.sh NUMBER report.md
set -eu
number=$1 report=$2
marker=$(head -n 1 "$report")
place="repos/$GITHUB_REPOSITORY/issues"

# A token of a fork may read only: the report is in the run's summary in any case.
gave_up() {
    echo "::notice::the report is no comment ($1); it is in the summary of this run"
    exit 0
}

found=$(gh api --paginate "$place/$number/comments" \
    --jq ".[] | select(.body | startswith(\"$marker\")) | .id") || gave_up "comments cannot be read"
comment=$(printf '%s\n' "$found" | head -n 1)
if [ -n "$comment" ]; then
    gh api --silent --method PATCH "$place/comments/$comment" --field "body=@$report" ||
        gave_up "comment $comment cannot be changed"
    echo "renewed comment $comment"
else
    gh api --silent --method POST "$place/$number/comments" --field "body=@$report" ||
        gave_up "none may be written"
    echo "wrote a comment"
fi
