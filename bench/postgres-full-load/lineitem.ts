/** SQL that makes TPC-H's `lineitem` with rows like dbgen's: the same types, widths and numbers of distinct values. */
export function lineitem(rows: number): string {
  return `
    create table lineitem (
      l_orderkey bigint not null, l_partkey int not null, l_suppkey int not null, l_linenumber int not null,
      l_quantity numeric(15,2) not null, l_extendedprice numeric(15,2) not null, l_discount numeric(15,2) not null,
      l_tax numeric(15,2) not null, l_returnflag char(1) not null, l_linestatus char(1) not null,
      l_shipdate date not null, l_commitdate date not null, l_receiptdate date not null,
      l_shipinstruct char(25) not null, l_shipmode char(10) not null, l_comment varchar(44) not null);
    select setseed(0.5);
    insert into lineitem
    select (n / 4) + 1, 1 + random() * 199999, 1 + random() * 9999, n % 4 + 1, 1 + floor(random() * 50),
      (90000 + random() * 10000000)::int / 100.0, floor(random() * 11) / 100, floor(random() * 9) / 100,
      (array['A', 'N', 'R'])[1 + floor(random() * 3)], (array['O', 'F'])[1 + floor(random() * 2)],
      date '1992-01-02' + (random() * 2525)::int, date '1992-01-31' + (random() * 2465)::int,
      date '1992-01-03' + (random() * 2550)::int,
      (array['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + floor(random() * 4)],
      (array['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + floor(random() * 7)],
      substr(md5(n::text) || ' ' || md5((n * 7)::text), 1, 10 + (random() * 33)::int)
    from generate_series(0, ${rows - 1}) n;
    alter table lineitem add primary key (l_orderkey, l_linenumber);
    analyze lineitem`
}
